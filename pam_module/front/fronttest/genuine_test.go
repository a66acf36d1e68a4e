package fronttest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// listenAs runs the kit's fake verifier as uid in a new directory below parent
// and gives that directory to owner afterwards.
func listenAs(t *testing.T, kit *Kit, parent string, uid, owner int) string {
	t.Helper()
	dir := filepath.Join(parent, "verifier")
	err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, uid, uid))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "verifier.sock")
	alive, err := kit.listen(path, kit.Core, uint32(uid))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alive.Close() })
	if err := os.Chown(dir, owner, owner); err != nil {
		t.Fatal(err)
	}
	return path
}

// Who could put himself in the verifier's place is not asked.
func TestVerifierGenuine(t *testing.T) {
	const other, third = 1000, 1001
	for _, row := range []struct {
		name       string
		above      os.FileMode // of the directory that the verifier's is in
		uid, owner int         // who listens, and whose directory it is
		mode       os.FileMode // of the verifier's directory
		warning    string
	}{
		{"root's", 0o755, 0, 0, 0o755, ""},
		{"root's, in a directory for all", os.ModeSticky | 0o777, 0, 0, 0o755, ""},
		{"its owner's", 0o755, other, other, 0o755, ""},
		{"root's for the owner, as systemd listens", 0o755, 0, other, 0o755, ""},
		{"its owner's, in a directory for all", os.ModeSticky | 0o777, other, other, 0o755, "found one of uid 1000 in a directory of mode 40755 of uid 1000"},
		{"its owner's, in a directory of a group", 0o775, other, other, 0o755, "of uid 1000"},
		{"root's in another's, in a directory for all", os.ModeSticky | 0o777, 0, other, 0o755, "of uid 1000"},
		{"another's in root's", 0o755, other, 0, 0o755, "found one of uid 1000 in a directory of mode 40755 of uid 0"},
		{"another's in a third's", 0o755, other, third, 0o755, "of uid 1001"},
		{"others may write", 0o755, 0, 0, 0o757, "mode 40757"},
		{"a group may write", 0o755, 0, 0, 0o775, "mode 40775"},
		{"others may write, sticky", 0o755, 0, 0, os.ModeSticky | 0o777, "mode 41777"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			kit, log, service := near(t), NewLog(t), serviceName(t)
			above := filepath.Dir(kit.Verifier)
			kit.Verifier = listenAs(t, kit, above, row.uid, row.owner)
			if err := errors.Join(os.Chmod(filepath.Dir(kit.Verifier), row.mode), os.Chmod(above, row.above)); err != nil {
				t.Fatal(err)
			}
			kit.checkGenuine(t, service, log, row.warning)
		})
	}
	t.Run("link", func(t *testing.T) {
		t.Parallel()
		kit, log, service := near(t), NewLog(t), serviceName(t)
		above := filepath.Dir(kit.Verifier)
		path := listenAs(t, kit, above, 0, 0)
		if err := os.Symlink(filepath.Dir(path), filepath.Join(above, "link")); err != nil {
			t.Fatal(err)
		}
		kit.Verifier = filepath.Join(above, "link", "verifier.sock")
		kit.checkGenuine(t, service, log, "mode 120777")
	})
}

func (k *Kit) checkGenuine(t *testing.T, service string, log *Log, warning string) {
	t.Helper()
	k.Stack(t, service, "protocol=ask debug")
	outcome := k.Login(t, "--service", service, "--dev", log.Dev, "123456")
	lines := strings.Join(log.Lines(t), "\n")
	if forked := strings.Contains(lines, "core child "); forked != (warning != "") || outcome.Result != "PAM_SUCCESS" {
		t.Errorf("%s, a core was forked: %v\n%s", outcome.Result, forked, lines)
	}
	if !strings.Contains(lines, warning) || strings.Contains(lines, "<84>") != (warning != "") {
		t.Errorf("want one warning that says %q:\n%s", warning, lines)
	}
	unchanged(t, outcome)
}
