package doctor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/remotelogin"
)

var update = flag.Bool("update", false, "write what was found into the files of testdata/doctor")

const setups = "../../testdata/doctor/"

// patient is a set-up in a tree of files: the txtar's files, and its file
// "machine" with what no file can show.
type patient struct {
	t       testing.TB
	root    string
	machine target.Machine
	// services are those that the doctor is asked about, none for all.
	services []string
	want     string
	real     []string
	// looks are what a client's servers say.
	looks []remotelogin.Look
	// shared is what etcd's members say, or sharedErr why they cannot be asked.
	shared    casledger.Status
	sharedErr error
}

func admit(t testing.TB, archive *txtar.Archive) *patient {
	t.Helper()
	p := &patient{t: t, root: t.TempDir()}
	if err := os.Chmod(p.root, 0o755); err != nil {
		t.Fatal(err)
	}
	p.machine = target.Machine{
		Root: p.root, Synchronised: func() bool { return true }, SSHD: p.sshd,
		Now: sync.OnceValue(time.Now), // it stands still: a busy machine has all the time to look names up
		Module: func(name string) (string, bool) {
			return "/usr/lib/security/" + filepath.Base(name), !strings.Contains(name, "\r")
		},
		Space:    func(string) target.Space { return target.Space{Bytes: 1 << 40, Files: 1 << 20, Total: 1 << 20} },
		Verifier: func(string) target.Listener { return target.Listener{Err: fs.ErrNotExist} },
	}
	p.write("usr/lib/security/pam_otpgate.so", "")
	p.write("usr/lib/security/pam_otpgate_core.so", "")
	p.write("var/lib/otpgate/.keep", "")
	p.write("etc/otpgate/users/.keep", "")
	facts := ""
	for _, file := range archive.Files {
		switch file.Name {
		case "machine":
			facts = string(file.Data)
		case "want":
			p.want = string(file.Data)
		default:
			if asFiles(file.Name) {
				p.write(file.Name, string(file.Data))
			}
		}
	}
	for line := range strings.Lines(facts) {
		p.fact(strings.Fields(line))
	}
	return p
}

func (p *patient) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.root, name)
	mode := fs.FileMode(0o644)
	for _, secret := range []string{"etc/otpgate/users", "etc/otpgate/break-glass/", "client.key", "gateway.key", "etc/otpgate/sftpd/ssh_host_"} {
		if strings.Contains(name, secret) {
			mode = 0o600
		}
	}
	if strings.Contains(name, "keys/") {
		mode = 0o400
	}
	// Includes are written as on a machine, and sshd knows nothing of the tree.
	if strings.HasPrefix(name, "etc/ssh/") {
		text = strings.ReplaceAll(text, "Include /etc/ssh/", "Include "+p.root+"/etc/ssh/")
	}
	if name == "etc/otpgate/otpgate.toml" {
		text = strings.ReplaceAll(text, "ROOT", p.root)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		p.t.Fatal(err)
	}
}

// fact is a line of "machine".
func (p *patient) fact(words []string) {
	p.t.Helper()
	var err error
	switch strings.Join(words[:min(2, len(words))], " ") {
	case "clock unsynchronised":
		p.machine.Synchronised = func() bool { return false }
	case "clock behind":
		// A time in the text would differ in each run.
		at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
		p.machine.Now = func() time.Time { return at }
		err = os.Chtimes(filepath.Join(p.root, "etc/otpgate/users"), at, at.Add(time.Hour))
	case "sending fails":
		p.machine.Sending = func(config.Config) error {
			return errors.New("[email]: password_file: /etc/otpgate/secrets/smtp: expected one line with the password and nothing else")
		}
	case "disk full":
		p.machine.Space = func(string) target.Space { return target.Space{Err: unix.ENOSPC} }
	case "disk odd":
		p.machine.Space = func(string) target.Space {
			return target.Space{Bytes: 1 << 40, Files: 1 << 20, Total: 1 << 20, Record: errors.New("make a record: rename: invalid argument")}
		}
	case "disk low":
		p.machine.Space = func(string) target.Space { return target.Space{Bytes: 1 << 20, Files: 50000, Total: 60000} }
	case "disk read-only":
		p.machine.Space = func(string) target.Space { return target.Space{Err: unix.EROFS} }
	case "log absent":
		p.machine.Log = func() error { return unix.ENOENT }
	case "verifier stale":
		p.machine.Verifier = func(string) target.Listener { return target.Listener{Err: unix.ECONNREFUSED} }
	case "verifier runs":
		p.machine.Verifier = func(string) target.Listener {
			return target.Listener{Program: "/usr/sbin/otpgate-verifierd", PID: 17}
		}
	case "verifier stranger":
		p.machine.Verifier = func(string) target.Listener {
			return target.Listener{Program: "/home/eve/verifier", PID: 17, UID: 1000}
		}
	case "verifier old":
		p.machine.Verifier = func(string) target.Listener {
			return target.Listener{Program: "/usr/sbin/otpgate-verifierd (deleted)", PID: 17}
		}
	default:
		err = p.otherFact(words)
	}
	if err != nil {
		p.t.Fatalf("machine: %q: %v", words, err)
	}
}

func (p *patient) otherFact(words []string) error {
	switch words[0] {
	case "mode":
		mode, err := strconv.ParseUint(words[1], 8, 32)
		if err != nil {
			return err
		}
		return os.Chmod(filepath.Join(p.root, words[2]), fs.FileMode(mode))
	case "owner":
		uid, err := strconv.Atoi(words[1])
		if err != nil {
			return err
		}
		return os.Chown(filepath.Join(p.root, words[2]), uid, uid)
	case "names":
		p.machine.UserKnown = func(string) (bool, error) { return false, errors.New("look up user: connection refused") }
		return nil
	case "directory": // NAME OTHER: the uid of NAME has that name first
		p.machine.Others = func(name string) ([]string, error) {
			return map[string][]string{words[1]: {words[2]}}[name], nil
		}
		return nil
	case "services":
		p.services = words[1:]
		return nil
	case "mask": // a unit of systemd
		dir := filepath.Join(p.root, words[2])
		return errors.Join(os.MkdirAll(dir, 0o755), os.Symlink("/dev/null", filepath.Join(dir, words[1])))
	case "remove":
		return os.RemoveAll(filepath.Join(p.root, words[1]))
	case "unloadable":
		p.machine.Load = func(_ context.Context, path string) error {
			if filepath.Base(path) != words[1] {
				return nil
			}
			return fmt.Errorf("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by %s)", path)
		}
		return nil
	case "missing":
		found := p.machine.Module
		p.machine.Module = func(name string) (string, bool) {
			if name == words[1] {
				return "", false
			}
			return found(name)
		}
		return nil
	}
	return p.sshdFact(words)
}

// hostKey is a key for sshd, made once.
var hostKey = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "hostkey")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if output, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/key").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ssh-keygen: %w: %s", err, output)
	}
	return os.ReadFile(dir + "/key")
})

// sshd is the real one on the tree's configuration, with a host key of its own.
func (p *patient) sshd(ctx context.Context, query target.Query) (string, error) {
	if _, err := os.Stat(p.root + target.SSHDConfig); err != nil {
		return "", target.ErrNoSSHD
	}
	key := p.t.TempDir() + "/key"
	data, err := hostKey()
	if err == nil {
		err = os.WriteFile(key, data, 0o600)
	}
	if err != nil {
		return "", err
	}
	query.Arguments = append([]string{"-h", key}, query.Arguments...)
	args := query.Args(p.root)
	text, err := target.RunSSHD(ctx, p.root, "", args)
	if err != nil && strings.Contains(err.Error(), "Bad configuration option: PAMServiceName") {
		return p.olderSSHD(ctx, args)
	}
	if err != nil {
		// The arguments are the test's, and differ in each run.
		_, said, _ := strings.Cut(err.Error(), "exit status")
		return "", fmt.Errorf("sshd -T: exit status%s", said)
	}
	return text, nil
}

// olderSSHD has one that does not know PAMServiceName say what a newer one says:
// it is given a keyword that it knows in that place, and its value is told by
// the other name.
func (p *patient) olderSSHD(ctx context.Context, args []string) (string, error) {
	files, err := filepath.Glob(p.root + "/etc/ssh/*/*.conf")
	if err != nil {
		return "", err
	}
	for _, file := range append(files, p.root+target.SSHDConfig) {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		stood := strings.ReplaceAll(string(text), "PAMServiceName ", "Banner ")
		if err := os.WriteFile(file, []byte(stood), 0o644); err != nil {
			return "", err
		}
		defer func() { _ = os.WriteFile(file, text, 0o644) }()
	}
	said, err := target.RunSSHD(ctx, p.root, "", args)
	value := regexp.MustCompile(`(?m)^banner (?:.*/)?(.*)$`).FindStringSubmatch(said) // taken for a path
	if err != nil || value == nil {
		return said, err
	}
	return strings.Replace(said, value[0], "pamservicename "+strings.Replace(value[1], "none", "sshd", 1), 1), nil
}

// Each broken set-up is found and named, and of those in order nothing is.
func TestSetups(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("running without root: the files' owners matter")
	}
	for kind, least := range map[string]int{"broken": 25, "good": 10, "noted": 1} {
		files, err := filepath.Glob(setups + kind + "/*.txtar")
		if err != nil || len(files) < least {
			t.Errorf("%d set-ups in %s, %v; expected %d", len(files), kind, err, least)
		}
		for _, file := range files {
			t.Run(kind+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				t.Parallel()
				archive, err := txtar.ParseFile(file)
				if err != nil {
					t.Fatal(err)
				}
				p := admit(t, archive)
				got := p.examine()
				if *update {
					rewrite(t, file, archive, got)
				} else if got != p.want {
					t.Errorf("found\n%s\nexpected\n%s", got, p.want)
				}
				if kind == "good" && inForce(got) {
					t.Errorf("it is in order, and this was found:\n%s", got)
				}
				if kind == "broken" && !strings.Contains(got, "error: ") && !strings.Contains(got, "warning: ") {
					t.Errorf("nothing was found:\n%s", got)
				}
			})
		}
	}
}

// inForce says whether a report has a finding that is not excused by name.
func inForce(report string) bool {
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "excused ") {
			return true
		}
	}
	return false
}

func rewrite(t *testing.T, file string, archive *txtar.Archive, got string) {
	kept := archive.Files[:0]
	for _, f := range archive.Files {
		if f.Name != "want" {
			kept = append(kept, f)
		}
	}
	archive.Files = kept
	if got != "" {
		archive.Files = append(kept, txtar.File{Name: "want", Data: []byte(got)})
	}
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
