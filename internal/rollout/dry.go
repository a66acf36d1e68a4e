package rollout

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Authenticate runs pam_authenticate(3) for a service in confDir and no other
// directory. answer gives what is typed at a prompt. in is whether it succeeded.
type Authenticate func(confDir, service, user string, answer func(prompt string) (string, error)) (in bool, err error)

// dryUser is nobody of this machine.
const dryUser = "otpgate-dry-login"

// dry is a copy of a service in which the password modules are stood in for,
// and our lines ask for the codes of somebody made up.
type dry struct {
	dir   string
	stack authstack.Stack
	tree  pamstack.Tree
	codes []string
}

// DryLogin has libpam log somebody made up in through the edited service: with
// the right code, a wrong one, and a wrong password. Nothing of it counts.
func DryLogin(tree pamstack.Tree, settings config.Config, edit Edit, authenticate Authenticate) error {
	tree.Edited = map[string]string{edit.Path: edit.After}
	stack, err := authstack.Load(tree, edit.Service, settings)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "otpgate-dry-")
	if err != nil {
		return fmt.Errorf("dry login: %w", err)
	}
	defer os.RemoveAll(dir)
	d := &dry{dir: dir, stack: stack, tree: tree}
	if err := d.enroll(); err != nil {
		return fmt.Errorf("dry login: %w", err)
	}
	wrong, _ := factor.NewRecovery("somebody else")
	for _, login := range []struct {
		what     string
		password bool
		code     string
		in       bool
	}{
		{"the right code", true, d.codes[0], true},
		{"a wrong code", true, wrong[0], false},
		{"a wrong password and a right code", false, d.codes[1], false},
	} {
		if err := d.write(login.password); err != nil {
			return fmt.Errorf("dry login: %w", err)
		}
		asked := false
		in, err := authenticate(filepath.Join(dir, "pam.d"), edit.Service, dryUser, func(prompt string) (string, error) {
			if len(stack.Splits) > 0 {
				asked = true
				return "password" + login.code, nil
			}
			asked = asked || strings.Contains(strings.ToLower(prompt), "code")
			return login.code, nil
		})
		if err != nil {
			return fmt.Errorf("dry login: %w", err)
		}
		if in != login.in || login.password && !asked {
			return fmt.Errorf("a dry login through libpam with %s: asked for a code: %v, let in: %v; expected to be let in: %v. The log (journalctl -t otpgate, or auth.log) says why", login.what, asked, in, login.in)
		}
	}
	return nil
}

func (d *dry) enroll() error {
	users := filepath.Join(d.dir, "users")
	state := filepath.Join(d.dir, "state")
	if err := errors.Join(os.Mkdir(state, 0o700), os.Mkdir(filepath.Join(d.dir, "pam.d"), 0o700)); err != nil {
		return err
	}
	own, err := d.ownProtocols()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("[policy]\nown_protocols = [%s]\n[paths]\nusers = %q\nstate = %q\n", own, users, state)
	if err := os.WriteFile(filepath.Join(d.dir, "otpgate.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	secret := make([]byte, 20)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	accounts, err := account.Create(users) // nobody in it names a protocol
	if err != nil {
		return err
	}
	defer accounts.Close()
	codes, recovery := factor.NewRecovery(dryUser)
	d.codes = codes
	return accounts.Change(dryUser, func(p *account.Person) error {
		p.Factors = []account.Factor{{ID: "dry", Kind: account.TOTP, Secret: secret, Digits: 6, Period: 30, Algorithm: "SHA1", Confirmed: time.Now()}}
		p.Recovery = recovery
		return nil
	})
}

// ownProtocols declares those that our lines name. Whether they are declared on the
// machine the doctor has looked at.
func (d *dry) ownProtocols() (list string, err error) {
	for _, i := range append(slices.Clone(d.stack.Checks), d.stack.Splits...) {
		name := d.stack.Lines[i].Arg("protocol")
		var protocol config.Protocol
		if name == "" || slices.Contains(config.AllProtocols(), config.Protocol(name)) || strings.Contains(list, strconv.Quote(name)) {
			continue
		}
		if err := protocol.UnmarshalText([]byte(name)); err != nil {
			return "", fmt.Errorf("protocol=%s: %w", name, err)
		}
		list += strconv.Quote(name) + ", "
	}
	return list, nil
}

// write copies every file of the stack, and has includes lead to the copies by
// absolute paths: some libraries look for included files elsewhere than
// pam_start_confdir(3) was told.
func (d *dry) write(password bool) error {
	for _, file := range d.stack.Files {
		text, err := d.tree.Read(file)
		if err != nil {
			return err
		}
		var out strings.Builder
		for _, s := range pamstack.Statements(text) {
			if line := d.line(s.Fields, password); line != "" {
				out.WriteString(line + "\n")
			}
		}
		if err := os.WriteFile(d.place(file), []byte(out.String()), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(d.place("other"), []byte("auth required pam_deny.so\n"), 0o600)
}

func (d *dry) place(file string) string { return filepath.Join(d.dir, "pam.d", filepath.Base(file)) }

// line is a statement of the copy, "" for one that has nothing to do with
// logging in.
func (d *dry) line(fields []string, password bool) string {
	if strings.EqualFold(fields[0], "@include") && len(fields) > 1 {
		return "@include " + d.place(fields[1])
	}
	if !strings.EqualFold(strings.TrimPrefix(fields[0], "-"), "auth") || len(fields) < 3 {
		return ""
	}
	control := fields[1]
	if strings.EqualFold(control, "include") || strings.EqualFold(control, "substack") {
		return "auth " + control + " " + d.place(fields[2])
	}
	if strings.ContainsAny(control, "= \t") {
		control = "[" + strings.ReplaceAll(control, "]", `\]`) + "]"
	}
	return "auth " + control + " " + d.module(fields[2], fields[3:], password)
}

// module is what stands in for one.
func (d *dry) module(name string, arguments []string, password bool) string {
	if filepath.Base(name) == authstack.ModuleName {
		kept := name + " verifier=off config=" + filepath.Join(d.dir, "otpgate.toml")
		for _, argument := range arguments {
			if !strings.HasPrefix(argument, "config=") && !strings.HasPrefix(argument, "verifier=") {
				kept += " " + argument
			}
		}
		return kept
	}
	if d.stack.Usually(name, arguments, password) == pamstack.Success {
		return "pam_permit.so"
	}
	return "pam_deny.so"
}
