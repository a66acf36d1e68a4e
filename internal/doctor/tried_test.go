package doctor

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/pamstack/pamtest"
	"github.com/otpgate/otpgate/internal/rollout"
)

// What a set-up's findings claim is tried with the real libpam, by the lines of
// its file "tried":
//
//	in|denied SERVICE WORD...
//
// Whoever comes has what the words say: password, code or not-asked, and for any
// other module MODULE=RETURN; uid=N is whom the host runs as. The file "fixed"
// says what is done then, as the findings' fix says: "remove PATH", "enable
// SERVICE" for otpctl pam enable, and the files "fixed/PATH". It goes on with
// "gone ID" for the findings that this makes go away, and with what is so now.
const (
	triedFile = "tried"
	fixedFile = "fixed"
)

// asFiles are those of a set-up that are no part of the machine.
func asFiles(name string) bool {
	return name != triedFile && name != fixedFile && !strings.HasPrefix(name, fixedFile+"/")
}

var returnNames = map[string]pamstack.Return{"success": pamstack.Success, "auth_err": pamstack.AuthErr, "perm_denied": pamstack.PermDenied,
	"ignore": pamstack.Ignore, "user_unknown": pamstack.UserUnknown, "authinfo_unavail": 9}

// asked are modules that somebody has to have something for.
var asked = []string{"pam_unix.so", "pam_sss.so", "pam_ldap.so", "pam_krb5.so", "pam_otpgate.so", "pam_fprintd.so", "pam_wheel.so", "pam_ssh_agent_auth.so",
	"pam_succeed_if.so", "pam_access.so", "pam_rootok.so", "pam_u2f.so", "pam_pkcs11.so", "pam_listfile.so"}

// variables are what the stand-ins of modules are told by the words of a claim.
func variables(t testing.TB, words []string) []string {
	t.Helper()
	told := map[string]pamstack.Return{"pam_otpgate.so split": pamstack.Ignore, "pam_faillock.so authfail": pamstack.AuthErr}
	for _, name := range asked {
		told[name] = pamstack.AuthErr
	}
	for _, word := range words {
		name, value, other := strings.Cut(word, "=")
		got, known := returnNames[value]
		switch {
		case word == "password":
			for _, name := range asked[:4] {
				told[name] = pamstack.Success
			}
		case word == "code":
			told["pam_otpgate.so"] = pamstack.Success
		case word == "not-asked":
			told["pam_otpgate.so"] = pamstack.Ignore
		case other && known:
			told[name] = got
		case name != "uid":
			t.Fatalf("%q is not understood", word)
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(told)) {
		all = append(all, name+"="+strconv.Itoa(int(told[name])))
	}
	return all
}

var moduleNames = regexp.MustCompile(`[\w/.-]*pam_[\w-]+\.so\b`)

// stand are the files of the modules that a patient has.
func (p *patient) stand(libpam pamtest.Libpam) map[string]string {
	p.t.Helper()
	text := filepath.Join(p.t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("not a module\n"), 0o644); err != nil {
		p.t.Fatal(err)
	}
	files := map[string]string{}
	err := filepath.WalkDir(p.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.Contains(path, "/pam.") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, name := range moduleNames.FindAllString(string(data), -1) {
			files[name] = libpam.Module
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	for name := range files {
		if _, found := p.machine.Module(name); !found {
			delete(files, name)
		} else if p.machine.Load != nil && p.machine.Load(p.t.Context(), "/x/"+filepath.Base(name)) != nil {
			files[name] = text
		}
	}
	for _, name := range append([]string{"pam_deny.so", "pam_permit.so"}, p.real...) {
		found, err := filepath.Glob("/usr/lib/*-linux-gnu/security/" + name)
		if err != nil || len(found) != 1 {
			p.t.Fatalf("%s: %q, %v", name, found, err)
		}
		files[name] = found[0]
	}
	return files
}

// try has libpam say of each claim whether it is so.
func (p *patient) try(libpam pamtest.Libpam, claims [][]string) {
	p.t.Helper()
	byHost := map[string][][]string{}
	for _, claim := range claims {
		host := ""
		for _, word := range claim[2:] {
			if uid, found := strings.CutPrefix(word, "uid="); found {
				host = uid
			}
		}
		byHost[host] = append(byHost[host], claim)
	}
	modules := p.stand(libpam)
	for host, claims := range byHost {
		cmd := libpam.Chrooted(p.t, p.root, modules, append([]string{libpam.Tries}, strings.Fields(host)...)...)
		var questions, complaint strings.Builder
		for _, claim := range claims {
			questions.WriteString(strings.Join(append([]string{claim[1]}, variables(p.t, claim[2:])...), "\t") + "\n")
		}
		cmd.Stdin, cmd.Stderr = strings.NewReader(questions.String()), &complaint
		output, err := cmd.Output()
		answers := slices.Collect(strings.Lines(string(output)))
		if err != nil || len(answers) != len(claims) {
			p.t.Fatalf("%v: %s: %s", err, complaint.String(), output)
		}
		for i, claim := range claims {
			got := "denied"
			if strings.Contains(answers[i], "\taccount\t") && strings.HasSuffix(answers[i], "\t0\n") {
				got = "in"
			}
			if got != claim[0] {
				p.t.Errorf("%q: libpam says %s: %s", claim, got, answers[i])
			}
		}
	}
}

// act does what the file "fixed" says, and gives what is claimed then.
func (p *patient) act(text string) (claims [][]string, gone []string) {
	p.t.Helper()
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "remove":
			if err := os.Remove(filepath.Join(p.root, words[1])); err != nil {
				p.t.Fatal(err)
			}
		case words[0] == "enable":
			edit, err := rollout.Plan(pamstack.Of(p.root), config.Default(), words[1], rollout.Line{Module: "pam_otpgate.so", Arguments: words[2:]})
			if err != nil {
				p.t.Fatal(err)
			}
			p.write(strings.TrimPrefix(edit.Path, "/"), edit.After)
		case words[0] == "real": // modules that are the machine's own
			p.real = append(p.real, words[1:]...)
		case words[0] == "gone":
			gone = append(gone, words[1:]...)
		case words[0] == "in" || words[0] == "denied":
			claims = append(claims, words)
		default:
			p.fact(words)
		}
	}
	return claims, gone
}

func (p *patient) examine() string {
	var report strings.Builder
	for _, f := range (Doctor{Machine: p.machine, Services: p.services, Ask: p.ask(), AskLedger: p.askLedger()}).Examine(p.t.Context()) {
		report.WriteString(f.String())
	}
	return report.String()
}

// The claims of the set-ups hold with the real libpam, and the fix makes both
// them and the findings go away.
func TestSetupsTried(t *testing.T) {
	libpam := pamtest.New(t)
	files, err := filepath.Glob(setups + "*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string]string{}
		for _, f := range archive.Files {
			parts[f.Name] = string(f.Data)
		}
		if parts[triedFile] == "" {
			continue
		}
		tried++
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			p := admit(t, archive)
			claims, _ := p.act(parts[triedFile])
			p.try(libpam, claims)
			if parts[fixedFile] == "" {
				return
			}
			p = admit(t, archive)
			for name, text := range parts {
				if path, found := strings.CutPrefix(name, fixedFile+"/"); found {
					p.write(path, text)
				}
			}
			claims, gone := p.act(parts[fixedFile])
			report := p.examine()
			for _, id := range gone {
				if idLine := fmt.Sprintf("  %-9s %s\n", "id:", id); strings.Contains(report, idLine) || !strings.Contains(parts["want"], idLine) {
					t.Errorf("%s is to be found before and not after:\n%s", id, report)
				}
			}
			p.try(libpam, claims)
		})
	}
	if tried == 0 {
		t.Error("nothing was tried")
	}
}
