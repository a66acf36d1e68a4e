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
	size := file.seen.Size
	// One byte more than there was, so that a file which has grown is noticed. If the
	// kernel had just as many to give as there were when the file was checked, that is
	// the whole file of that moment, and no second call is made to be told that it ends.
	data := make([]byte, size+1)
	if n, err := readOnce(file, data); err == nil && n > 0 && int64(n) == size {
		return data[:n], nil
	}
	for {
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
		data = make([]byte, size+1)
	}
}

// readOnce reads from the beginning of the file, in one call that may give less.
func readOnce(file *File, data []byte) (n int, err error) {
	err = again(func() (err error) {
		n, err = unix.Pread(file.fd, data, 0)
		return err
	})
	return n, err
}

// Replace makes data the contents of the file name in dir, with mode and the
// owner of the directory. Whoever reads meanwhile, and whoever looks after a
// crash, finds the old file or the new one, whole. When it returns nil the new
// one is on disk. Only one Replace of a name may be under way at a time; what a
// killed one left behind is taken away by the next one, and by Remove.
func Replace(dir *File, name string, data []byte, mode fs.FileMode) error {
	return ReplaceBy(dir, temporaryPrefix+name, name, data, mode)
}

// ReplaceBy is Replace where somebody reads all files of the directory whose names
// look like some: until it is whole the file is called temporary. What a killed one
// left behind is taken away by the next one alone.
func ReplaceBy(dir *File, temporary, name string, data []byte, mode fs.FileMode) error {
	if err := putNew(dir, temporary, name, data, mode, (*File).Sync); err != nil {
		return err
	}
	if err := rename(dir, temporary, name); err != nil {
		return err
	}
	return placed(dir, name)
}

// PlacedError is about a file that has its new contents, of which the disk does not say
// that it keeps them. Whoever says that nothing has changed would be wrong.
type PlacedError struct {
	Path string
	err  error
}

func (p PlacedError) Error() string {
	return fmt.Sprintf("%v; %s has its new contents all the same, which a power failure may undo", p.err, p.Path)
}

func (p PlacedError) Unwrap() error { return p.err }

// placed has the disk keep the name that a file was given.
func placed(dir *File, name string) error {
	if err := syncDir(dir); err != nil {
		return PlacedError{dir.in(name), err}
	}
	return nil
}

// SyncDir has the disk keep the names of the files in dir, as after a [PlacedError].
func SyncDir(dir *File) error { return syncDir(dir) }

// PutNew makes data the contents of a new file name in dir, with mode and the owner of
// the directory, once first has returned nil. Whenever it is killed the file is not
// there, or there whole; what was left is taken away by the next one. Its error wraps
// [fs.ErrExist] if there is a file of that name, and then first was not called. Only
// one may be under way in dir: another one fails.
func PutNew(dir *File, name string, data []byte, mode fs.FileMode, first func() error) error {
	if err := unix.Flock(dir.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%w; another command makes a file there, or changes one", dir.failed("lock", err))
	}
	defer func() { _ = unix.Flock(dir.fd, unix.LOCK_UN) }()
	there, err := isIn(dir, name)
	if err == nil && there {
		err = &fs.PathError{Op: "create", Path: dir.in(name), Err: fs.ErrExist}
	}
	if err != nil {
		return err
	}
	temporary := temporaryPrefix + name
	if err := putNew(dir, temporary, name, data, mode, (*File).Sync); err != nil {
		return err
	}
	err = first()
	if err == nil {
		err = renameNew(dir, temporary, name)
	}
	if err != nil {
		return errors.Join(err, removeLeft(dir, temporary))
	}
	return placed(dir, name)
}

// renameNew gives a file its name, unless that is taken: others may make files there
// without the lock. A file system that cannot do that in one step (FUSE, ZFS before 2.2)
// does it in two, with the lock against other commands.
func renameNew(dir *File, temporary, name string) error {
	err := unix.Renameat2(dir.fd, temporary, dir.fd, name, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL {
		there, failed := isIn(dir, name)
		switch {
		case failed != nil:
			return failed
		case there:
			err = unix.EEXIST
		default:
			err = unix.Renameat(dir.fd, temporary, dir.fd, name)
		}
	}
	if err != nil {
		return &fs.PathError{Op: "create", Path: dir.in(name), Err: err}
	}
	return nil
}

// Replacement is what a file of that name is to have.
type Replacement struct {
	Name string
	Data []byte
}

// ReplaceAll is Replace for many files, and waits for the disk once. When it fails,
// or is killed, some have been replaced and others have not: each is whole.
func ReplaceAll(dir *File, files []Replacement, mode fs.FileMode) error {
	later := func(*File) error { return nil }
	for i, f := range files {
		if err := putNew(dir, temporaryPrefix+f.Name, f.Name, f.Data, mode, later); err != nil {
			for _, put := range files[:i] {
				err = errors.Join(err, removeLeft(dir, temporaryPrefix+put.Name))
			}
			return err
		}
	}
	// Of the whole file system, as one after the other takes as long for each. No name
	// may get there ahead of what the file has.
	if err := dir.failed("sync", again(func() error { return unix.Syncfs(dir.fd) })); err != nil {
		return err
	}
	for _, f := range files {
		if err := rename(dir, temporaryPrefix+f.Name, f.Name); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// putNew writes what is to take the place of the file name. sync sees to it that it is
// on disk.
func putNew(dir *File, temporary, name string, data []byte, mode fs.FileMode, sync func(*File) error) error {
	if err := removeLeft(dir, temporary); err != nil {
		return err
	}
	if err := writeNew(dir, temporary, data, mode, sync); err != nil {
		return fmt.Errorf("write %s: %w", dir.in(name), err)
	}
	return nil
}

// rename puts what putNew wrote in its place.
func rename(dir *File, temporary, name string) error {
	if err := unix.Renameat(dir.fd, temporary, dir.fd, name); err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", dir.in(name), err), unlink(dir, temporary))
	}
	return nil
}

// temporaryPrefix is what the name of a file begins with that Replace has not
// put in its place yet.
const temporaryPrefix = ".new-"

func writeNew(dir *File, name string, data []byte, mode fs.FileMode, sync func(*File) error) (err error) {
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
	return sync(file)
}

// Remove takes the file name out of dir, for good when it returns nil.
func Remove(dir *File, name string) error {
	if err := errors.Join(removeLeft(dir, temporaryPrefix+name), unlink(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

// removeLeft removes what a killed Replace left.
func removeLeft(dir *File, temporary string) error {
	err := unlink(dir, temporary)
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
		if strings.HasPrefix(entry.Name(), temporaryPrefix) {
			if err := removeLeft(dir, entry.Name()); err != nil {
				return err
			}
			removed = true
		}
	}
	if !removed {
		return nil
	}
	return syncDir(dir)
}

func unlink(dir *File, name string) error {
	if err := unix.Unlinkat(dir.fd, name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: dir.in(name), Err: err}
	}
	return nil
}

func syncDir(dir *File) error {
	if err := unix.Fsync(dir.fd); err != nil {
		return &fs.PathError{Op: "sync", Path: dir.Name(), Err: err}
	}
	return nil
}
