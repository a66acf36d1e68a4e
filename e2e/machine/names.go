package machine

import (
	"fmt"
	"os"
	"strings"
	"sync"
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
