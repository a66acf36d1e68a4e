package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The machine starts the unit that undoes changes of pam.d nobody confirmed,
// before all that lets people in, and nobody has to enable it.
func TestRestoreComesFirst(t *testing.T) {
	root := t.TempDir()
	installUnitsBelow(t, root, "/usr")
	output, err := exec.Command("systemctl", "--root="+root, "is-enabled", restoreService).CombinedOutput()
	if state := strings.TrimSpace(string(output)); state != "static" {
		t.Errorf("expected a unit that is always there, found %q, %v", state, err)
	}
	link, err := os.Readlink(filepath.Join(root, "usr/lib/systemd/system/sysinit.target.wants", restoreService))
	if err != nil || link != "../"+restoreService {
		t.Errorf("expected that the machine's start wants it, found %q, %v", link, err)
	}
	// A service has sysinit.target before it unless it says otherwise, and so
	// have the sockets and terminals that people come in by.
	text, err := os.ReadFile(restoreService)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"DefaultDependencies=no", "Before=sysinit.target shutdown.target", "ConditionPathExistsGlob=/etc/otpgate/pending/*.json", "Type=exec",
		"ExecStartPre=-/usr/bin/otpctl pam restore --overdue", "ExecStart=/usr/bin/otpctl pam restore --overdue --wait",
	} {
		if !slices.Contains(strings.Split(string(text), "\n"), line) {
			t.Errorf("expected the line %q", line)
		}
	}
}
