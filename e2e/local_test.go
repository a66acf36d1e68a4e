package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// asRoot is machine.Greet for commands that run as root for somebody.
const asRoot = `test "$(id -u)" = 0 && echo "$SUDO_USER is"" in"`

// hostile is what a user may try to make of sudo's environment. See
// duo PSA-2017-002.
func hostile(p *machine.Person) []string {
	return []string{
		"HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9", "ALL_PROXY=http://127.0.0.1:9", "NO_PROXY=",
		"SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=/nonexistent",
		"GODEBUG=gctrace=1,inittrace=1,schedtrace=1", "GOTRACEBACK=crash", "GOGC=1", "GOMEMLIMIT=1", "GOMAXPROCS=0", "GORACE=halt_on_error=1",
		"LD_PRELOAD=" + evil, "LD_AUDIT=" + evil, "LD_LIBRARY_PATH=/home/" + p.Name, "LD_DEBUG=all", "LD_BIND_NOT=1",
		"GCONV_PATH=/home/" + p.Name, "LOCPATH=/home/" + p.Name, "NLSPATH=/home/" + p.Name + "/%N", "GLIBC_TUNABLES=glibc.malloc.check=3",
		"MALLOC_PERTURB_=255", "HOSTALIASES=/etc/shadow", "RES_OPTIONS=debug", "PAM_WRAPPER=1",
		"LANG=tr_TR.UTF-8", "LC_ALL=xx_XX", "LANGUAGE=xx", "TZ=/etc/shadow", "TZDIR=/home/" + p.Name, "HOME=/nonexistent", "TMPDIR=/nonexistent",
		"PATH=/home/" + p.Name + ":/usr/bin:/bin", "IFS=x", "ENV=/etc/shadow", "BASH_ENV=/etc/shadow", "OTPGATE_CONFIG=/dev/null", "TERM=\x1b[31m",
	}
}

const (
	evil  = machine.Files + "/evil.so"
	marks = machine.Root + "/marks"
)

// plantEvil puts the evil library where it might be found by its name, and
// proves that it leaves a mark where it is loaded.
func plantEvil(t *testing.T, p *machine.Person) {
	t.Helper()
	if err := os.MkdirAll(marks, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(marks, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"libpam.so.0", "libaudit.so.1", "libcrypt.so.1", "libdl.so.2"} {
		if output, err := exec.Command("cp", evil, filepath.Join("/home", p.Name, name)).CombinedOutput(); err != nil {
			t.Fatalf("plant the library: %v: %s", err, output)
		}
	}
	proof := p.As(exec.Command("id"))
	proof.Env = append(proof.Env, "LD_PRELOAD="+evil)
	if output, err := proof.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	left, err := os.ReadDir(marks)
	if err != nil || len(left) == 0 {
		t.Fatalf("expected a mark of the evil library, found %v, %v", left, err)
	}
}

func sudoer(t *testing.T, here machine.Site) *machine.Person {
	t.Helper()
	p := machine.NewPerson(t, "sue").Enroll(t, here.Users)
	if err := os.WriteFile("/etc/sudoers.d/"+p.Name, []byte(p.Name+" ALL=(ALL:ALL) ALL\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	return p
}

// sudo runs sudo as p on the site's machine, by way of wrapper if there is one.
func sudo(t *testing.T, here machine.Site, p *machine.Person, environment []string, given machine.Answers, wrapper ...string) machine.Dialogue {
	t.Helper()
	args := append(wrapper, "/usr/bin/sudo", "-k", "/bin/sh", "-c", asRoot)
	cmd := p.As(exec.Command(args[0], args[1:]...))
	cmd.Env = append(cmd.Env, environment...)
	return here.Open(t, cmd).Answer(given, machine.Patience)
}

// sudo asks after the password, whatever environment and limits its caller has.
func TestSudo(t *testing.T) {
	onAllPaths(t, "sudo", "", func(t *testing.T, here machine.Site) {
		here.AddToService(t, "sudo", "sudo")
		t.Run("environment", func(t *testing.T) { sudoEnvironment(t, here) })
		t.Run("limits", func(t *testing.T) { sudoLimits(t, here) })
		if _, err := os.Stat(sudoRS); err == nil || !debian12(t) {
			t.Run("sudo-rs", func(t *testing.T) { testSudoRS(t, here) })
		}
	})
}

func sudoEnvironment(t *testing.T, here machine.Site) {
	for name, environment := range map[string]func(*machine.Person) []string{
		"plain environment":   func(*machine.Person) []string { return nil },
		"hostile environment": hostile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := sudoer(t, here)
			plantEvil(t, p)
			with := environment(p)
			code, wrong := p.Code(t, 0), p.Wrong(t)
			d := sudo(t, here, p, with, answers(p, code))
			expectIn(t, p, d, 1)
			if strings.Contains(d.Transcript, "gc ") || strings.Contains(d.Transcript, "init ") || strings.Contains(d.Transcript, "SCHED") {
				t.Errorf("the Go runtime heeded the environment:\n%s", d.Transcript)
			}
			expectOut(t, p, sudo(t, here, p, with, answers(p, code, code, code)), 3)
			expectOut(t, p, sudo(t, here, p, with, answers(p, wrong, wrong, wrong)), 3)
			expectOut(t, p, sudo(t, here, p, with, answers(p, "")), 2)
			expectOut(t, p, sudo(t, here, p, with, answers(p, "\x03")), 1)
			expectOut(t, p, sudo(t, here, p, with, machine.Answers{Passwords: []string{"not-" + p.Password}}), 0)
			expectAudit(t, p, "service=sudo", "protocol=sudo", "verdict=accepted")
			expectNoRootMarks(t)
		})
	}
}

// sudoRS is the sudo that is written in Rust, which Debian has from 13 on. Its
// service is sudo's.
const sudoRS = "/usr/lib/cargo/bin/sudo"

func debian12(t *testing.T) bool {
	t.Helper()
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(release), "VERSION_CODENAME=bookworm\n")
}

func testSudoRS(t *testing.T, here machine.Site) {
	p := sudoer(t, here)
	sudo := func(given machine.Answers) machine.Dialogue {
		t.Helper()
		return here.Open(t, p.As(exec.Command(sudoRS, "-k", "/bin/sh", "-c", asRoot))).Answer(given, machine.Patience)
	}
	code, wrong := p.Code(t, 0), p.Wrong(t)
	expectIn(t, p, sudo(answers(p, code)), 1)
	expectAudit(t, p, "service=sudo", "protocol=sudo", "verdict=accepted")
	for name, given := range map[string]machine.Answers{"a used code": answers(p, code, code, code), "wrong codes": answers(p, wrong, wrong, wrong), "no code": answers(p, "")} {
		if d := sudo(given); d.In(p) || d.Codes == 0 {
			t.Errorf("%s: expected a code to be asked for and refused, found %+v", name, d)
		}
	}
	expectOut(t, p, sudo(machine.Answers{Passwords: []string{"not-" + p.Password}}), 0)
}

func expectNoRootMarks(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(marks + "/0-*")
	if err != nil || len(left) > 0 {
		t.Errorf("the evil library ran as root: %v %v", left, err)
	}
}

// sudoLimits: limits that a user sets before sudo may keep it from working,
// never make a code good twice or a wrong one good.
func sudoLimits(t *testing.T, here machine.Site) {
	for _, limit := range []string{"--fsize=0", "--fsize=100", "--nofile=6", "--nofile=12", "--nproc=1", "--cpu=1", "--as=100000000", "--stack=65536", "--data=1000000", "--memlock=0"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			p := sudoer(t, here)
			code, wrong := p.Code(t, 0), p.Wrong(t)
			if d := sudo(t, here, p, nil, answers(p, wrong, wrong, wrong), "prlimit", limit); d.In(p) {
				t.Errorf("in with a wrong code:\n%s", d.Transcript)
			}
			in := 0
			for _, wrapper := range [][]string{{"prlimit", limit}, {"prlimit", limit}, {"env"}, {"env"}} {
				if sudo(t, here, p, nil, answers(p, code, code, code), wrapper...).In(p) {
					in++
				}
			}
			// sudo itself may fail after the code was accepted.
			accepted := len(accepted(p))
			if in > 1 || accepted != 1 {
				t.Errorf("expected one of four logins with one code to be accepted, found %d accepted, %d in\n%s",
					accepted, in, machine.Text(machine.Log.Lines("otpgate", "user="+p.Name+" ")))
			}
		})
	}
}

// su asks for the code of the person that it changes to; the caller's own password and
// a used code do not do.
func TestSu(t *testing.T) {
	onAllPaths(t, "su", "", func(t *testing.T, here machine.Site) {
		here.AddToService(t, "su", "su")
		from, to := machine.NewPerson(t, "sven"), machine.NewPerson(t, "tove").Enroll(t, here.Users)
		su := func(given machine.Answers) machine.Dialogue {
			return here.Open(t, from.As(exec.Command("su", to.Name, "-c", machine.Greet))).Answer(given, machine.Patience)
		}
		code, wrong := to.Code(t, 0), to.Wrong(t)
		expectOut(t, to, su(answers(to, wrong, wrong, wrong)), 3)
		expectOut(t, to, su(machine.Answers{Passwords: []string{from.Password}}), 0)
		expectIn(t, to, su(answers(to, code)), 1)
		expectAudit(t, to, "service=su", "protocol=su", "verdict=accepted")
		expectOut(t, to, su(answers(to, code, code, code)), 3)
	})
}

// login(1) on a terminal asks after name and password.
func TestLogin(t *testing.T) {
	onAllPaths(t, "login", "", func(t *testing.T, here machine.Site) {
		here.AddToService(t, "login", "login")
		p := machine.NewPerson(t, "lea").Enroll(t, here.Users)
		greet := filepath.Join(machine.Root, "bin", "greet")
		if err := testprogram.Write(greet, []byte("#!/bin/sh\n"+machine.Greet+"\n")); err != nil {
			t.Fatal(err)
		}
		machine.Account(t, "", "usermod", "--shell", greet, p.Name)
		login := func(codes ...string) machine.Dialogue {
			given := answers(p, codes...)
			given.Names = []string{p.Name}
			return here.Open(t, exec.Command("login")).Answer(given, machine.Patience)
		}
		code, wrong := p.Code(t, 0), p.Wrong(t)
		expectOut(t, p, login(wrong, wrong, wrong), 3)
		expectIn(t, p, login(code), 1)
		expectAudit(t, p, "service=login", "protocol=login", "verdict=accepted")
		expectOut(t, p, login(code, code, code), 3)
	})
}
