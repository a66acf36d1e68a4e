package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/safefile"
)

// PendingDir is where changes are noted that nobody has confirmed, so that they
// can be undone after a crash and after a reboot too.
const PendingDir = "/etc/otpgate/pending"

// Pending is a change that is in force and will be undone.
type Pending struct {
	Service string `json:"service"`
	Path    string `json:"path"`
	Backup  string `json:"backup,omitempty"`
	// From is the distribution's file, where Path is a copy that is removed.
	From     string    `json:"from,omitempty"`
	Changed  time.Time `json:"changed"`
	Deadline time.Time `json:"deadline"`
	// Boot and Watchdog say which process undoes it.
	Boot     string `json:"boot"`
	Watchdog int    `json:"watchdog"`
}

// Changer puts changes in place and takes them back.
type Changer struct {
	// Root goes before every path.
	Root string
	Now  func() time.Time
}

// ErrNothingPending is returned where no change waits to be confirmed.
var ErrNothingPending = errors.New("no change waits to be confirmed")

func (c Changer) pendingPath(service string) string {
	return filepath.Join(c.Root+PendingDir, service+".json")
}

// Pending lists the changes that nobody has confirmed. One that cannot be read
// is an error and keeps the others from nothing.
func (c Changer) Pending() ([]Pending, error) {
	entries, err := os.ReadDir(c.Root + PendingDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Pending
	var unread []error
	for _, entry := range entries {
		service, found := strings.CutSuffix(entry.Name(), ".json")
		if !found || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		p, err := c.load(service)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		all = append(all, p)
	}
	return all, errors.Join(unread...)
}

func (c Changer) load(service string) (Pending, error) {
	if strings.Contains(service, "/") {
		return Pending{}, fmt.Errorf("%q: expected the name of a service, as in %s", service, pamstack.AdminDir)
	}
	path := c.pendingPath(service)
	data, err := safefile.Read(path, safefile.Rules{Forbidden: 0o022, MaxSize: 64 << 10})
	if errors.Is(err, fs.ErrNotExist) {
		return Pending{}, fmt.Errorf("%s: %w", service, ErrNothingPending)
	}
	if err != nil {
		return Pending{}, err
	}
	var p Pending
	if err := json.Unmarshal(data, &p); err != nil {
		return Pending{}, fmt.Errorf("%s: %w", path, err)
	}
	if p.Service != service {
		return Pending{}, fmt.Errorf("%s: it is about the service %q", path, p.Service)
	}
	return p, nil
}

func (c Changer) save(p Pending) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return replace(c.pendingPath(p.Service), append(data, '\n'), 0o600)
}

func (c Changer) forget(service string) error {
	dir, err := safefile.OpenDir(c.Root + PendingDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return safefile.Remove(dir, service+".json")
}

// forgetAny is forget, of a change that may not have been noted.
func (c Changer) forgetAny(service string) error {
	if err := c.forget(service); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// replace writes a file whole or not at all.
func replace(path string, data []byte, mode fs.FileMode) error {
	dir, err := safefile.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return safefile.Replace(dir, filepath.Base(path), data, mode)
}

// remove takes a file away, if it is there.
func remove(path string) error {
	dir, err := safefile.OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := safefile.Remove(dir, filepath.Base(path)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// alone keeps others from changing anything meanwhile.
func (c Changer) alone(do func() error) error {
	// What is in the directory above is for others to read.
	if err := os.MkdirAll(filepath.Dir(c.Root+PendingDir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(c.Root+PendingDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(c.Root+PendingDir, ".lock"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	return do()
}

// Alive says whether the process still runs that undoes the change.
func (p Pending) Alive() bool {
	return p.Watchdog > 0 && p.Boot == bootID() && unix.Kill(p.Watchdog, 0) == nil
}

// Left is how long a change still has. It is never more than what it was given,
// as a clock may be behind when a machine starts.
func (p Pending) Left(now time.Time) time.Duration {
	return max(0, min(p.Deadline.Sub(now), p.Deadline.Sub(p.Changed)))
}

// TakeOver makes this process the one that undoes a change.
func (c Changer) TakeOver(service string) (p Pending, err error) {
	err = c.alone(func() error {
		if p, err = c.load(service); err != nil {
			return err
		}
		p.Boot, p.Watchdog = bootID(), os.Getpid()
		return c.save(p)
	})
	return p, err
}

func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// Finding is what the doctor says of a change that nobody will undo.
func (p Pending) Finding() (finding.Finding, bool) {
	if p.Alive() {
		return finding.Finding{}, false
	}
	return finding.Finding{Severity: finding.Warning, ID: "change-unconfirmed", Services: []string{p.Service}, File: p.Path,
		What:    "The line was added and never confirmed, and nothing waits any longer to take it out: the machine has started again since, without the unit otpgate-pam-restore, or the process was killed.",
		Follows: "It stays in force.",
		Fix:     "If logins work: otpctl pam confirm " + p.Service + ". If not: otpctl pam restore " + p.Service}, true
}
