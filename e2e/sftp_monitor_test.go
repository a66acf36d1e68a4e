package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// slacks are how late the timers of a process's threads may be, in nanoseconds.
func slacks(t *testing.T, pid int) string {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	for _, thread := range threads {
		// Those that end meanwhile are not meant.
		if slack, err := os.ReadFile("/proc/" + filepath.Base(thread) + "/timerslack_ns"); err == nil {
			found += string(slack)
		}
	}
	return found
}

// Fronts and workers are where the runtime's monitor would take most of the switches,
// and the worker of one connection has nobody else to hold up.
func TestSFTPMonitors(t *testing.T) {
	t.Parallel()
	for per, slack := range map[string]string{"session": "50000000\n", "user": "1000000\n"} {
		t.Run(per, func(t *testing.T) {
			t.Parallel()
			s := hosts.StartSFTPD(t, machine.NewSite(t, "sftp-monitor-"+per, noCodes), noCodes, "fronts = 1\nworker = \""+per+"\"\n")
			p, _, f := newFiles(t, s)
			if _, err := f.Getwd(); err != nil {
				t.Fatal(err)
			}
			if found := slacks(t, oneChild(t, s, "otpgate-sftpd-front", anybody)); !strings.Contains(found, "1000000\n") {
				t.Errorf("a front's threads: %q", found)
			}
			if found := slacks(t, oneChild(t, s, "otpgate-sftpd-worker", p.UID)); !strings.Contains(found, slack) {
				t.Errorf("a worker's threads: %q, expected one with %q", found, slack)
			}
		})
	}
}
