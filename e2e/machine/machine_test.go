package machine

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// That nothing of the real machine changes is checked by Run itself, here as
// at the end of every other run in a private machine.
func TestMain(m *testing.M) {
	os.Exit(Run(func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "prepared"), []byte("here"), 0o600)
	}, m.Run))
}

func TestMachineIsPrivate(t *testing.T) {
	p := NewPerson(t, "amy")
	for _, path := range []string{"/home/" + p.Name, Files + "/prepared", Module, "/run/sshd", "/dev/pts", "/dev/null", "/etc/pam.d/sshd"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range []string{"/etc", "/home", "/run", "/tmp", "/dev", "/var/lib", "/var/log", "/var/mail"} {
		var on unix.Statfs_t
		if err := unix.Statfs(dir, &on); err != nil || on.Type != unix.TMPFS_MAGIC {
			t.Errorf("%s: expected a tmpfs, found type %x, %v", dir, on.Type, err)
		}
	}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, "OTPGATE_MACHINE_STAGE") {
			t.Errorf("%s is left in the environment", variable)
		}
	}
	if pid := os.Getppid(); pid != 1 {
		t.Errorf("expected the parent to be process 1, found %d", pid)
	}
}

// Of the real machine's /tmp it has what the program needs, by their paths, and nothing else.
func TestMachinesOwnTmp(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{here, os.Args[0]} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	needs := append(needed(here), ".X11-unix")
	found, err := os.ReadDir("/tmp")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range found {
		if !slices.Contains(needs, entry.Name()) {
			t.Errorf("/tmp/%s is there too", entry.Name())
		}
	}
	named := namedIn([]string{"/tmp/a/b", "/tmp/c", "-x=/tmp/d/e", "/tmp", "/tmp/", "/tmpfs/f", "-test.run=g", "/tmp/../etc", "h=/tmp/i"})
	if want := []string{"a", "c", "d"}; !slices.Equal(named, want) {
		t.Errorf("expected %q, found %q", want, named)
	}
}

// What Run looks for on the real machine is really found.
func TestLookSeesChanges(t *testing.T) {
	before, err := look()
	if err != nil {
		t.Fatal(err)
	}
	p := NewPerson(t, "ben")
	WriteService(t, "looked-for", "auth required pam_deny.so\n")
	t.Cleanup(func() { _ = os.Remove("/etc/pam.d/looked-for") })
	after, err := look()
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Join(before.differs(after), "\n")
	for _, path := range []string{"/etc/passwd: was", "/etc/shadow: was", "/etc/pam.d/looked-for is new", "/home/" + p.Name + " is new"} {
		if !strings.Contains(changed, path) {
			t.Errorf("expected %q among the changes:\n%s", path, changed)
		}
	}
	if changed := after.differs(after); len(changed) > 0 {
		t.Errorf("expected no change, found %q", changed)
	}
}

func TestProcessesIn(t *testing.T) {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	if found := processesIn(namespace); len(found) < 2 {
		t.Errorf("expected this process and process 1, found %q", found)
	}
	if found := processesIn("pid:[1]"); len(found) > 0 {
		t.Errorf("expected none, found %q", found)
	}
}

func TestSyslog(t *testing.T) {
	if output, err := exec.Command("logger", "-p", "authpriv.notice", "-t", "somebody", "hello there").CombinedOutput(); err != nil {
		t.Fatalf("logger: %v: %s", err, output)
	}
	if line := Log.Expect(t, "hello there"); line.Facility != 10 || line.Severity != 5 || !strings.Contains(line.Text, "somebody") {
		t.Errorf("found %+v", line)
	}
	if line := parseLine("no priority"); line.Severity != -1 || line.Text != "no priority" {
		t.Errorf("found %+v", line)
	}
}

// A script stands for ssh and its like: what it asks is answered, and whether
// it hangs, asks on or ends is told apart.
func TestAnswer(t *testing.T) {
	const ask = `stty -echo; printf "$1: "; read -r answer; stty echo; echo; `
	within := func(patience time.Duration, text string, answers Answers) Dialogue {
		return Open(t, exec.Command("sh", "-c", text, "sh", "Password", "Verification code")).Answer(answers, patience)
	}
	script := func(text string, answers Answers) Dialogue { return within(Patience, text, answers) }
	secret := Answers{Passwords: []string{"secret"}, Codes: []string{"123456"}}
	d := script(ask+`shift; `+ask+`echo "got $answer"; exit 3`, secret)
	if d.Passwords != 1 || d.Codes != 1 || d.Status != 3 || d.Transcript != "Password: ****\nVerification code: 123456\ngot 123456\n" {
		t.Errorf("answered: %+v", d)
	}
	if d := script(ask+ask, secret); !d.AskedOn || d.Passwords != 2 || d.Hung {
		t.Errorf("asked on: %+v", d)
	}
	if d := within(time.Second, `trap "" HUP; sleep 60`, secret); !d.Hung || d.AskedOn {
		t.Errorf("hung: %+v", d)
	}
	if d := script(ask, Answers{Passwords: []string{"\x03"}}); d.Status == 0 {
		t.Errorf("interrupted: %+v", d)
	}
}

// No group has an id that a person will be given later.
func TestIDsOfGroups(t *testing.T) {
	name := NewPerson(t, "ida").Name + "s"
	NewGroup(t, name)
	group, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	if gid, err := strconv.Atoi(group.Gid); err != nil || gid >= newID() {
		t.Errorf("the group's id is %s, %v, which somebody will be given", group.Gid, err)
	}
}
