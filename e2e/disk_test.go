package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/machine"
)

// smallDisk makes the site's state a disk of its own. With the site it is put away, not
// unmounted, as what is on it is searched for secrets.
func smallDisk(t *testing.T, here machine.Site) {
	t.Helper()
	if err := unix.Mount("tmpfs", here.State, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Fatalf("mount the state disk: %v", err)
	}
	t.Cleanup(func() {
		away, err := os.MkdirTemp(filepath.Dir(here.State), here.Name+".disk")
		if err == nil {
			err = unix.Mount(here.State, away, "", unix.MS_MOVE, "")
		}
		if err != nil {
			t.Errorf("put the state disk away: %v", err)
		}
	})
}

// fill leaves no room on the disk.
func fill(t *testing.T, here machine.Site) (empty func()) {
	t.Helper()
	path := filepath.Join(here.State, "filler")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for chunk := make([]byte, 512); ; {
		if _, err := file.Write(chunk); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func readOnly(t *testing.T, here machine.Site) (writable func()) {
	t.Helper()
	remount := func(flags uintptr) {
		var err error
		// Whoever has let somebody in may have the ledger open for a moment after that.
		machine.Until(t, "nobody has a file of the state disk open for writing", func() bool {
			err = unix.Mount("", here.State, "", unix.MS_REMOUNT|flags, "")
			return !errors.Is(err, unix.EBUSY)
		})
		must(t, err)
	}
	remount(unix.MS_RDONLY)
	return func() { remount(0) }
}

// While the state disk cannot take a code's use nobody is in with it, the log
// says why and where, and afterwards all is as it was: used codes used, others
// good. On a full disk an entry that exists can still be written in place, so
// who has one gets in, once.
func TestStateDisk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, cause string
		harm        func(*testing.T, machine.Site) func()
	}{
		{"full", "no space left on device", fill},
		{"read-only", "read-only file system", readOnly},
	} {
		for _, path := range machine.Paths {
			t.Run(string(path)+"/"+test.name, func(t *testing.T) {
				t.Parallel()
				here := path.NewSite(t, "disk-"+test.name, "")
				smallDisk(t, here)
				sshd := startSSHD(t, here)
				before, fresh := machine.NewPerson(t, "dan"), machine.NewPerson(t, "dot").Enroll(t, here.Users)
				before.Period = 300 // so that the used code would still be good
				before.Enroll(t, here.Users)
				used := before.Code(t, 0)
				expectIn(t, before, sshd.Login(t, before, answers(before, used)), 1)

				mend := test.harm(t, here)
				next := before.Code(t, 1)
				in := 0
				for range 2 {
					if sshd.Login(t, before, answers(before, next, next, next)).In(before) {
						in++
					}
				}
				for _, code := range []string{fresh.Wrong(t), fresh.Code(t, 1)} {
					if d := sshd.Login(t, fresh, answers(fresh, code, code, code)); d.In(fresh) {
						t.Errorf("%s is in while the disk is %s:\n%s", fresh.Name, test.name, d.Transcript)
					}
				}
				expectAudit(t, fresh, "verdict=fault", test.cause, here.State)
				if in == 0 {
					expectAudit(t, before, "verdict=fault", test.cause, here.State)
				}
				mend()

				expectOut(t, before, sshd.Login(t, before, answers(before, used, used, used)), 3)
				if sshd.Login(t, before, answers(before, next, next, next)).In(before) {
					in++
				}
				if in != 1 {
					t.Errorf("expected the next code of %s to be good for one login, found %d", before.Name, in)
				}
				expectIn(t, fresh, sshd.Login(t, fresh, answers(fresh, fresh.Code(t, 0))), 1)
			})
		}
	}
}
