package rollout

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

const before, after = "@include common-auth\n", "@include common-auth\nauth required pam_otpgate.so\n"

// bench is a tree with one service, and a change of it.
func bench(t *testing.T) (Changer, Edit, Target) {
	t.Helper()
	root := t.TempDir()
	put(t, root+"/etc/pam.d/sshd", before)
	if err := os.MkdirAll(root+"/etc/otpgate", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root+"/etc/pam.d/sshd", 0o640); err != nil {
		t.Fatal(err)
	}
	c := Changer{Root: root, Now: time.Now}
	edit := Edit{Service: "sshd", Path: "/etc/pam.d/sshd", Before: before, After: after}
	target, err := c.Find(edit)
	if err != nil {
		t.Fatal(err)
	}
	return c, edit, target
}

func expect(t *testing.T, c Changer, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(c.Root + path); err != nil || string(got) != want {
		t.Errorf("%s: %v, found %q, expected %q", path, err, got, want)
	}
}

func started() (int, error) { return os.Getpid(), nil }

func (c Changer) mustPutFor(t *testing.T, edit Edit, target Target) Pending {
	t.Helper()
	p, err := c.PutFor(edit, target, time.Minute, started)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPutKeepsWhatWas(t *testing.T) {
	c, edit, target := bench(t)
	backup, err := c.Put(edit, target)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, c, edit.Path, after)
	expect(t, c, backup, before)
	for _, path := range []string{edit.Path, backup} {
		if info, err := os.Stat(c.Root + path); err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: %v, mode %v", path, err, info.Mode())
		}
	}
	if !authstack.IsCopy(filepath.Base(backup)) {
		t.Errorf("the doctor would take %s for a service", backup)
	}
	if _, err := c.Put(edit, target); err == nil || !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("a file that is no longer what was planned for: %v", err)
	}
}

// copied is a tree in which the distribution alone has the service.
func copied(t *testing.T) (Changer, Edit, Target) {
	t.Helper()
	c, edit, _ := bench(t)
	put(t, c.Root+"/usr/lib/pam.d/sshd", before)
	if err := os.Remove(c.Root + edit.Path); err != nil {
		t.Fatal(err)
	}
	edit.From = "/usr/lib/pam.d/sshd"
	target, err := c.Find(edit)
	if err != nil {
		t.Fatal(err)
	}
	return c, edit, target
}

func expectNone(t *testing.T, c Changer, path string) {
	t.Helper()
	if _, err := os.Lstat(c.Root + path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: expected none, found %v", path, err)
	}
}

func TestPutMakesACopy(t *testing.T) {
	c, edit, target := copied(t)
	if backup, err := c.Put(edit, target); err != nil || backup != "" {
		t.Fatalf("%q, %v", backup, err)
	}
	expect(t, c, edit.Path, after)
	expect(t, c, edit.From, before)
	if info, err := os.Stat(c.Root + edit.Path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	if _, err := c.Put(edit, target); err == nil || !strings.Contains(err.Error(), "made meanwhile") {
		t.Errorf("a file that somebody else has made: %v", err)
	}
}

func TestPutNoticesANewerDistribution(t *testing.T) {
	c, edit, target := copied(t)
	put(t, c.Root+edit.From, "# newer\n"+before)
	if _, err := c.Put(edit, target); err == nil || !strings.Contains(err.Error(), edit.From+" has been changed meanwhile") {
		t.Errorf("found %v", err)
	}
	expectNone(t, c, edit.Path)
}

// Undone, it leaves no file that would hide the distribution's updates.
func TestRestoreRemovesTheCopy(t *testing.T) {
	c, edit, target := copied(t)
	c.mustPutFor(t, edit, target)
	expect(t, c, edit.Path, after)
	p, kept, err := c.Restore("sshd")
	if err != nil || p.From != edit.From || kept != "" {
		t.Fatalf("%+v, %q, %v", p, kept, err)
	}
	expectNone(t, c, edit.Path)
	if _, _, err := c.Restore("sshd"); !errors.Is(err, ErrNothingPending) {
		t.Errorf("expected nothing to be left, found %v", err)
	}
}

// Where the distribution has taken its file away meanwhile, there would be none
// at all, and nobody let in: the copy stays, without the line.
func TestRestoreWithoutTheDistributions(t *testing.T) {
	c, edit, target := copied(t)
	c.mustPutFor(t, edit, target)
	if err := os.Remove(c.Root + edit.From); err != nil {
		t.Fatal(err)
	}
	p, kept, err := c.Restore("sshd")
	if err != nil || kept != "" || p.From != "" {
		t.Fatalf("%+v, %q, %v", p, kept, err)
	}
	expect(t, c, edit.Path, before)
	if _, _, err := c.Restore("sshd"); !errors.Is(err, ErrNothingPending) {
		t.Errorf("expected nothing to be left, found %v", err)
	}
}

// What somebody has written into the copy since is kept, and a copy that is gone
// already is no obstacle.
func TestRestoreOfACopyKeepsOtherChanges(t *testing.T) {
	c, edit, target := copied(t)
	c.mustPutFor(t, edit, target)
	put(t, c.Root+edit.Path, after+"# mine\n")
	_, kept, err := c.Restore("sshd")
	if err != nil || kept == "" {
		t.Fatalf("%q, %v", kept, err)
	}
	expect(t, c, kept, after+"# mine\n")
	expectNone(t, c, edit.Path)

	c.mustPutFor(t, edit, target)
	if err := os.Remove(c.Root + edit.Path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Restore("sshd"); err != nil {
		t.Error(err)
	}
}

// A second change within the same second keeps its own copy.
func TestCopiesOfOneSecond(t *testing.T) {
	c, edit, target := bench(t)
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	c.Now = func() time.Time { return at }
	first, err := c.Put(edit, target)
	if err != nil {
		t.Fatal(err)
	}
	edit.Before, edit.After = edit.After, edit.Before
	second, err := c.Put(edit, target)
	if err != nil || second <= first {
		t.Fatalf("%q after %q, %v", second, first, err)
	}
	expect(t, c, first, edit.After)
	expect(t, c, second, edit.Before)
}

func untried(Pending) error { return errors.New("nobody has logged in") }

func TestConfirmWantsALogin(t *testing.T) {
	c, edit, target := bench(t)
	c.mustPutFor(t, edit, target)
	if err := c.Confirm("sshd", untried); err == nil {
		t.Error("a change was confirmed that nobody has tried")
	}
	if _, err := c.PutFor(edit, target, time.Minute, started); err == nil {
		t.Error("a second change was made before the first was confirmed")
	}
	tried := func(p Pending) error {
		if p.Service != "sshd" || p.Changed.IsZero() {
			t.Errorf("asked about %+v", p)
		}
		return nil
	}
	if err := c.Confirm("sshd", tried); err != nil {
		t.Fatal(err)
	}
	if err := c.Confirm("sshd", tried); !errors.Is(err, ErrNothingPending) {
		t.Errorf("confirmed twice: %v", err)
	}
	if _, _, undone, err := c.Watch("sshd", 0, time.Millisecond); undone || err != nil {
		t.Errorf("undone after it was confirmed: %v, %v", undone, err)
	}
	expect(t, c, edit.Path, after)
}

func TestWatchUndoes(t *testing.T) {
	c, edit, target := bench(t)
	c.mustPutFor(t, edit, target)
	_, kept, undone, err := c.Watch("sshd", 20*time.Millisecond, time.Millisecond)
	if err != nil || !undone || kept != "" {
		t.Fatalf("undone %v, kept %q, %v", undone, kept, err)
	}
	expect(t, c, edit.Path, before)
	if pending, err := c.Pending(); err != nil || len(pending) > 0 {
		t.Errorf("still waits: %v, %v", pending, err)
	}
}

// A process that needs long to start has that much less to wait.
func TestWatchCountsFromTheChange(t *testing.T) {
	c, edit, target := bench(t)
	p := c.mustPutFor(t, edit, target)
	c.Now = func() time.Time { return p.Deadline }
	if _, _, undone, err := c.Watch("sshd", 24*time.Hour, time.Hour); err != nil || !undone {
		t.Fatalf("undone %v, %v", undone, err)
	}
	expect(t, c, edit.Path, before)
}

// What somebody has written since is kept beside.
func TestRestoreKeepsOtherChanges(t *testing.T) {
	c, edit, target := bench(t)
	c.mustPutFor(t, edit, target)
	const own = after + "auth optional pam_warn.so\n"
	put(t, c.Root+edit.Path, own)
	_, kept, err := c.Restore("sshd")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, c, edit.Path, before)
	expect(t, c, kept, own)
}

// Without the process that would undo it nothing is changed.
func TestNoWatchdogNoChange(t *testing.T) {
	c, edit, target := bench(t)
	_, err := c.PutFor(edit, target, time.Minute, func() (int, error) { return 0, errors.New("no more processes") })
	if err == nil {
		t.Error("expected an error")
	}
	expect(t, c, edit.Path, before)
	if pending, err := c.Pending(); err != nil || len(pending) > 0 {
		t.Errorf("something waits: %v, %v", pending, err)
	}
}

// A change whose process is gone is found.
func TestForgottenChange(t *testing.T) {
	c, edit, target := bench(t)
	p := c.mustPutFor(t, edit, target)
	if _, found := p.Finding(); found {
		t.Error("found although the process lives")
	}
	p.Boot = "another"
	if f, found := p.Finding(); !found || f.Severity != finding.Warning {
		t.Errorf("after a reboot: %v, %v", f, found)
	}
}

// After a reboot another process takes over, for the time that is left.
func TestTakeOver(t *testing.T) {
	c, edit, target := bench(t)
	p := c.mustPutFor(t, edit, target)
	whole := p.Deadline.Sub(p.Changed)
	for now, want := range map[time.Time]time.Duration{
		p.Deadline.Add(-time.Second): time.Second, p.Deadline: 0, p.Deadline.Add(time.Hour): 0,
		p.Changed.Add(-time.Hour): whole,
	} {
		if left := p.Left(now); left != want {
			t.Errorf("at %v: %v left, expected %v", now, left, want)
		}
	}
	p.Boot, p.Watchdog = "another", 4711
	if err := c.save(p); err != nil {
		t.Fatal(err)
	}
	if p, err := c.TakeOver("sshd"); err != nil || !p.Alive() {
		t.Errorf("taken over: %+v, %v", p, err)
	}
}

func TestFindRefuses(t *testing.T) {
	c, edit, _ := bench(t)
	path := c.Root + edit.Path
	if err := errors.Join(os.Rename(path, path+"-real"), os.Symlink("sshd-real", path)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Find(edit); err == nil || !strings.Contains(err.Error(), "symbolic link to sshd-real") {
		t.Errorf("a symbolic link: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.Rename(path+"-real", path), os.Chown(path, 1000, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Find(edit); err == nil {
		t.Error("somebody else's file was taken")
	}
}
