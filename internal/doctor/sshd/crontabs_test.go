package sshd

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/otpgate/otpgate/internal/doctor/target"
)

// Of the crontabs of people only root's is read: everybody has one, and the program
// that it names is asked as root.
func TestCrontabsOfPeople(t *testing.T) {
	t.Parallel()
	m := &target.Machine{Root: t.TempDir(), Running: func(string) []target.Process { return nil }}
	for _, dir := range []string{"var/spool/cron", "var/spool/cron/crontabs", "var/spool/cron/tabs", "etc/crontabs"} {
		for _, name := range []string{"root", "eve"} {
			path := filepath.Join(m.Root, dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			program := "/home/" + name + "/" + filepath.Base(dir) + "/sshd"
			if err := os.WriteFile(path, []byte("@reboot "+program+" -p 2222\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var asked []string
	for _, d := range daemons(m) {
		if d.query.Program != "" {
			asked = append(asked, d.query.Program)
		}
	}
	slices.Sort(asked)
	if want := []string{"/home/root/cron/sshd", "/home/root/crontabs/sshd", "/home/root/tabs/sshd"}; !slices.Equal(slices.Compact(asked), want) {
		t.Errorf("asked would be %q, expected %q", asked, want)
	}
}
