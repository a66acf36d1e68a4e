package safefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Read returns the contents of the file at path, an absolute path, if path
// and file pass every check.
func Read(path string, rules Rules) ([]byte, error) {
	dir, err := OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return ReadIn(dir, filepath.Base(path), rules)
}

// ReadIn is Read for the file name in an open directory.
func ReadIn(dir *File, name string, rules Rules) ([]byte, error) {
	file, err := OpenIn(dir, name, unix.O_RDONLY, rules)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return ReadOpen(file, rules)
}

// ReadOpen reads what OpenIn opened.
func ReadOpen(file *File, rules Rules) ([]byte, error) {
	// One byte more than there was, so that a file which has grown is noticed,
	// and one that has not is read in one call and found to end in another.
	size := file.seen.Size
	for {
		data := make([]byte, size+1)
		n, err := file.ReadAt(data, 0)
		switch {
		case err == io.EOF:
			return data[:n], nil
		case err != nil:
			return nil, err
		case size >= rules.MaxSize:
			return nil, fmt.Errorf("%s: %w: over %d bytes", file.Name(), ErrUnsafe, rules.MaxSize)
		}
		// The size is bounded again here: the file may grow after the check.
		size = min(2*size+1, rules.MaxSize)
	}
}

// Replace makes data the contents of the file name in dir, with mode and the
// owner of the directory. Whoever reads meanwhile, and whoever looks after a
// crash, finds the old file or the new one, whole. When it returns nil the new
// one is on disk. Only one Replace of a name may be under way at a time; what a
// killed one left behind is taken away by the next one, and by Remove.
func Replace(dir *File, name string, data []byte, mode fs.FileMode) error {
	if err := ReplaceSoon(dir, name, data, mode); err != nil {
		return err
	}
	return SyncDir(dir)
}

// ReplaceSoon is Replace for many files one after the other, of which the old one is
// as good as the new one: which of them is on disk is decided by SyncDir, which comes
// last. Either is whole.
func ReplaceSoon(dir *File, name string, data []byte, mode fs.FileMode) error {
	path := dir.in(name)
	temporary := temporaryPrefix + name
	if err := removeLeft(dir, name); err != nil {
		return err
	}
	if err := writeNew(dir, temporary, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := unix.Renameat(dir.fd, temporary, dir.fd, name); err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", path, err), unlink(dir, temporary))
	}
	return nil
}

// temporaryPrefix is what the name of a file begins with that Replace has not
// put in its place yet.
const temporaryPrefix = ".new-"

func writeNew(dir *File, name string, data []byte, mode fs.FileMode) (err error) {
	file, err := CreateIn(dir, name)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, unlink(dir, name))
		}
	}()
	if _, err := file.WriteAt(data, 0); err != nil {
		return err
	}
	if err := file.Chmod(mode.Perm()); err != nil {
		return err
	}
	return file.Sync()
}

// Remove takes the file name out of dir, for good when it returns nil.
func Remove(dir *File, name string) error {
	if err := errors.Join(removeLeft(dir, name), unlink(dir, name)); err != nil {
		return err
	}
	return SyncDir(dir)
}

// removeLeft removes what a killed Replace of name left.
func removeLeft(dir *File, name string) error {
	err := unlink(dir, temporaryPrefix+name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// RemoveAllLeft removes what killed Replaces of any name left in dir. None may be
// under way.
func RemoveAllLeft(dir *File) error {
	entries, err := os.ReadDir(dir.Name())
	if err != nil {
		return err
	}
	removed := false
	for _, entry := range entries {
		if name, left := strings.CutPrefix(entry.Name(), temporaryPrefix); left {
			if err := removeLeft(dir, name); err != nil {
				return err
			}
			removed = true
		}
	}
	if !removed {
		return nil
	}
	return SyncDir(dir)
}

func unlink(dir *File, name string) error {
	if err := unix.Unlinkat(dir.fd, name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: dir.in(name), Err: err}
	}
	return nil
}

// SyncDir returns once the names in dir are on disk.
func SyncDir(dir *File) error {
	if err := unix.Fsync(dir.fd); err != nil {
		return &fs.PathError{Op: "sync", Path: dir.Name(), Err: err}
	}
	return nil
}
