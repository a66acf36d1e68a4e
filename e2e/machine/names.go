package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/testprogram"
)

// ExtraUsers and extraGroups are where libnss-extrausers looks.
const (
	ExtraUsers  = "/var/lib/extrausers/passwd"
	extraGroups = "/var/lib/extrausers/group"
)

var extra sync.Mutex

// UseExtraNames has the machine's name service ask libnss-extrausers and the tests' own one for users
// and groups beside /etc/passwd and /etc/group, as it would ask LDAP or SSSD. Programs read that when they
// start, so it comes before all of them.
func UseExtraNames() error {
	const path = "/etc/nsswitch.conf"
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("name services: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "group:") && !strings.HasPrefix(line, "passwd:") {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "") + "\npasswd: files extrausers probe\ngroup: files extrausers probe\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("name services: %w", err)
	}
	if err := os.MkdirAll("/var/lib/extrausers", 0o755); err != nil {
		return err
	}
	return installProbe()
}

// ExtraGroup makes the person a member of a group that is not in /etc/group,
// and returns its id.
func ExtraGroup(t T, name string, p *Person) int {
	t.Helper()
	gid := newID()
	addLine(t, extraGroups, fmt.Sprintf("%s:x:%d:%s", name, gid, p.Name))
	return gid
}

// ExtraUser makes a user who is not in /etc/passwd.
func ExtraUser(t T, name string, uid int, home string) {
	t.Helper()
	addLine(t, ExtraUsers, fmt.Sprintf("%s:x:%d:20000::%s:/bin/sh", name, uid, home))
}

func addLine(t T, path, line string) {
	t.Helper()
	extra.Lock()
	defer extra.Unlock()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer file.Close()
	if _, err := fmt.Fprintln(file, line); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// probePlace is where the name service of tests is told what to do; see
// testdata/nss_probe.c. It is asked behind /etc/passwd and libnss-extrausers.
const probePlace = "/var/lib/nss-probe"

// probeLock is held by who takes a rule back and by logins that add one: what
// is added between reading and replacing would be lost.
const probeLock = probePlace + "/lock"

// installProbe has programs find the service in Files.
func installProbe() error {
	if err := os.MkdirAll(probePlace, 0o755); err != nil {
		return err
	}
	const path = "/etc/ld.so.conf"
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("name services: %w", err)
	}
	if err := os.WriteFile(path, append(data, "\n"+Files+"\n"...), 0o644); err != nil {
		return fmt.Errorf("name services: %w", err)
	}
	if output, err := exec.Command("/sbin/ldconfig", "-i", "-X", "-f", path, "-C", "/etc/ld.so.cache").CombinedOutput(); err != nil {
		return fmt.Errorf("ldconfig: %w: %s", err, output)
	}
	return nil
}

// ProbeUser makes the person, one without a user, somebody whom the name service of tests
// alone knows, under aliases too, with the password for each of the names.
func ProbeUser(t T, p *Person, aliases ...string) {
	t.Helper()
	p.UID, p.GID = 30000+int(people.Add(1)), 20000
	addLine(t, probePlace+"/passwd", fmt.Sprintf("%s:%d:%d:/tmp", p.Name, p.UID, p.GID))
	useradd.Lock()
	defer useradd.Unlock()
	for _, name := range append(aliases, p.Name) {
		if name != p.Name {
			addLine(t, probePlace+"/passwd", name+"="+p.Name)
		}
		line := name + ":" + hash(p.Password) + ":19000:0:99999:7:::"
		if err := locked(func() error { return appendTo("/etc/shadow", line) }); err != nil {
			t.Fatalf("give %s a password: %v", name, err)
		}
	}
}

// ProbeGroup makes a group of the name service of tests.
func ProbeGroup(t T, name string, members ...*Person) (gid int) {
	t.Helper()
	gid = 40000 + int(people.Add(1))
	var names []string
	for _, p := range members {
		names = append(names, p.Name)
	}
	addLine(t, probePlace+"/group", fmt.Sprintf("%s:%d:%s", name, gid, strings.Join(names, ",")))
	return gid
}

// ProbeRule has the service answer a question in that way, such as
// "passwd NAME unavail 2".
func ProbeRule(t T, rule string) {
	t.Helper()
	addLine(t, probePlace+"/rules", rule)
}

// ProbeRuleCommand is a line of pam.d that does so in the middle of a login.
func ProbeRuleCommand(t T, rule string) string {
	t.Helper()
	path := filepath.Join(probeDir(t), "rule")
	script := "#!/bin/sh\nexec 9>>" + probeLock + "\nflock 9\necho '" + rule + "' >> " + probePlace + "/rules\n"
	if err := testprogram.Write(path, []byte(script)); err != nil {
		t.Fatalf("write a command: %v", err)
	}
	return "auth required pam_exec.so quiet " + path
}

// ProbeForget takes a rule back.
func ProbeForget(t T, rule string) {
	t.Helper()
	extra.Lock()
	defer extra.Unlock()
	lock, err := os.OpenFile(probeLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatalf("open %s: %v", probeLock, err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatalf("lock %s: %v", probeLock, err)
	}
	const path = probePlace + "/rules"
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path+".new", []byte(strings.Replace(string(data), rule+"\n", "", 1)), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func probeDir(t T) string {
	t.Helper()
	dir, err := os.MkdirTemp(Root, "probe")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatalf("make a directory: %v", err)
	}
	return dir
}
