package rollout

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
)

// Target is a file that is to be changed.
type Target struct {
	path string
	mode fs.FileMode
}

// Find looks at the file of an edit. A symbolic link is refused: what it leads
// to belongs to authselect, or to somebody else who writes it again.
func (c Changer) Find(edit Edit) (Target, error) {
	target := Target{path: c.Root + edit.Path, mode: 0o644}
	if edit.From != "" {
		return target, nil
	}
	info, err := os.Lstat(target.path)
	if err != nil {
		return target, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		to, err := os.Readlink(target.path)
		if err != nil {
			return target, err
		}
		return target, fmt.Errorf("%s is a symbolic link to %s, and nothing is changed through one: change that file by what manages it (authselect), or put a file of its own here", edit.Path, to)
	}
	if owner, known := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || !known || owner.Uid != 0 {
		return target, fmt.Errorf("%s: expected a regular file of root's", edit.Path)
	}
	target.mode = info.Mode().Perm()
	return target, nil
}

// backUp keeps what the file was beside it, by a name with the time, or with the
// next second that has no copy yet. Of a file that is new there is none.
func (c Changer) backUp(edit Edit, target Target) (string, error) {
	if edit.From != "" {
		return "", nil
	}
	for at := c.Now().UTC(); ; at = at.Add(time.Second) {
		backup := edit.Path + authstack.CopyInfix + at.Format("20060102T150405Z")
		if _, err := os.Lstat(c.Root + backup); errors.Is(err, fs.ErrNotExist) {
			return backup, replace(c.Root+backup, []byte(edit.Before), target.mode)
		} else if err != nil {
			return "", err
		}
	}
}

// unchanged refuses to overwrite what somebody else has written meanwhile.
func (c Changer) unchanged(edit Edit) error {
	source := edit.Path
	if edit.From != "" {
		source = edit.From
		if _, err := os.Lstat(c.Root + edit.Path); err == nil {
			return fmt.Errorf("%s has been made meanwhile; nothing was written, try again", edit.Path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	now, err := os.ReadFile(c.Root + source)
	if err != nil {
		return err
	}
	if string(now) != edit.Before {
		return fmt.Errorf("%s has been changed meanwhile; nothing was written, try again", source)
	}
	return nil
}

// Put puts an edit in place for good, and returns the name of the copy of what
// was there before.
func (c Changer) Put(edit Edit, target Target) (backup string, err error) {
	err = c.alone(func() error {
		if err := c.unchanged(edit); err != nil {
			return err
		}
		if backup, err = c.backUp(edit, target); err != nil {
			return err
		}
		if err := c.write(edit, target); err != nil {
			return err
		}
		return c.forgetAny(edit.Service)
	})
	return backup, err
}

// write puts the file in place, or removes it where the distribution's counts
// again. If it fails behind that, as a disk does that keeps nothing for good, what was
// there before is put back.
func (c Changer) write(edit Edit, target Target) (err error) {
	if edit.Vendor == "" {
		err = replace(target.path, []byte(edit.After), target.mode)
	} else {
		err = remove(target.path)
	}
	if err == nil || c.unchanged(edit) == nil {
		return err
	}
	back := remove
	if edit.From == "" {
		back = func(path string) error { return replace(path, []byte(edit.Before), target.mode) }
	}
	return errors.Join(err, back(target.path))
}

// PutFor puts an edit in place until a deadline. start starts the process that
// undoes it, before anything is changed, and returns its process id.
func (c Changer) PutFor(edit Edit, target Target, within time.Duration, start func() (pid int, err error)) (Pending, error) {
	p := Pending{Service: edit.Service, Path: edit.Path, From: edit.From, Boot: bootID(), Changed: c.Now(), Deadline: c.Now().Add(within)}
	err := c.alone(func() (err error) {
		if _, err := c.load(edit.Service); err == nil {
			return fmt.Errorf("a change of %s waits to be confirmed: otpctl pam confirm %s, or otpctl pam restore %s", edit.Service, edit.Service, edit.Service)
		}
		if err := c.unchanged(edit); err != nil {
			return err
		}
		if p.Backup, err = c.backUp(edit, target); err != nil {
			return err
		}
		if err = c.save(p); err == nil {
			p.Watchdog, err = start()
		}
		if err == nil {
			err = c.save(p)
		}
		if err == nil {
			err = c.write(edit, target)
		}
		switch {
		case err == nil:
			return nil
		case c.unchanged(edit) != nil: // and what undoes it goes on trying
			return fmt.Errorf("%s is changed, and undone within %s: %w", edit.Path, within, err)
		}
		return errors.Join(err, c.forgetAny(edit.Service))
	})
	return p, err
}

// Confirm keeps a change if tried has nothing against it.
func (c Changer) Confirm(service string, tried func(Pending) error) error {
	return c.alone(func() error {
		p, err := c.load(service)
		if err != nil {
			return err
		}
		if err := tried(p); err != nil {
			return err
		}
		return c.forget(service)
	})
}

// Restore puts back what was there before a change that nobody has confirmed.
// If the file has been changed since, that is kept beside. A file that was made
// is removed, so that the distribution's counts again; if that is gone, it stays
// without the line, and p.From is empty.
func (c Changer) Restore(service string) (p Pending, kept string, err error) {
	err = c.alone(func() error {
		if p, err = c.load(service); err != nil {
			return err
		}
		source := p.Backup
		if p.From != "" {
			source = p.From
			if _, err := os.Stat(c.Root + source); errors.Is(err, fs.ErrNotExist) {
				p.From = ""
				return c.keepCopy(p)
			}
		}
		before, err := os.ReadFile(c.Root + source)
		if err != nil {
			return err
		}
		info, err := os.Stat(c.Root + source)
		if err != nil {
			return err
		}
		now, err := os.ReadFile(c.Root + p.Path)
		if err == nil && undone(string(now)) != string(before) {
			kept = p.Path + authstack.CopyInfix + c.Now().UTC().Format("20060102T150405Z") + "-changed"
			if err := replace(c.Root+kept, now, info.Mode().Perm()); err != nil {
				return err
			}
		}
		if p.From != "" {
			err = remove(c.Root + p.Path)
		} else {
			err = replace(c.Root+p.Path, before, info.Mode().Perm())
		}
		if err != nil {
			return err
		}
		return c.forget(service)
	})
	return p, kept, err
}

// keepCopy takes the line out of a file that is the only one there is.
func (c Changer) keepCopy(p Pending) error {
	now, err := os.ReadFile(c.Root + p.Path)
	if err == nil {
		err = replace(c.Root+p.Path, []byte(undone(string(now))), 0o644)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.forget(p.Service)
}
