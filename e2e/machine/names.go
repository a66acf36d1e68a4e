package machine

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// extraGroups is where libnss-extrausers looks for groups.
const extraGroups = "/var/lib/extrausers/group"

var extra sync.Mutex

// UseExtraNames has the machine's name service ask libnss-extrausers for groups
// beside /etc/group, as it would ask LDAP or SSSD. Programs read that when they
// start, so it comes before all of them.
func UseExtraNames() error {
	const path = "/etc/nsswitch.conf"
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("name services: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "group:") {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "") + "\ngroup: files extrausers\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("name services: %w", err)
	}
	return os.MkdirAll("/var/lib/extrausers", 0o755)
}

// ExtraGroup makes the person a member of a group that is not in /etc/group.
func ExtraGroup(t T, name string, p *Person) {
	t.Helper()
	extra.Lock()
	defer extra.Unlock()
	file, err := os.OpenFile(extraGroups, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatalf("group %s: %v", name, err)
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "%s:x:%d:%s\n", name, 20000+people.Add(1), p.Name); err != nil {
		t.Fatalf("group %s: %v", name, err)
	}
}
