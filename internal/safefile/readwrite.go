package safefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
func ReadIn(dir *os.File, name string, rules Rules) ([]byte, error) {
	file, err := OpenIn(dir, name, unix.O_RDONLY, rules)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return ReadOpen(file, rules)
}

// fewReads is more than most files have, so that one is read in two calls: its
// contents, and its end.
const fewReads = 4 << 10

// ReadOpen reads what OpenIn opened.
func ReadOpen(file *os.File, rules Rules) ([]byte, error) {
	data := bytes.NewBuffer(make([]byte, 0, fewReads+bytes.MinRead))
	// The size is bounded again here: the file may grow after the check.
	if _, err := data.ReadFrom(io.LimitReader(file, rules.MaxSize+1)); err != nil {
		return nil, err
	}
	if int64(data.Len()) > rules.MaxSize {
		return nil, fmt.Errorf("%s: %w: over %d bytes", file.Name(), ErrUnsafe, rules.MaxSize)
	}
	return data.Bytes(), nil
}

// Replace makes data the contents of the file name in dir, with mode and the
// owner of the directory. Whoever reads meanwhile, and whoever looks after a
// crash, finds the old file or the new one, whole. When it returns nil the new
// one is on disk. Only one Replace of a name may be under way at a time; what a
// killed one left behind is taken away by the next one, and by Remove.
func Replace(dir *os.File, name string, data []byte, mode fs.FileMode) error {
	path := filepath.Join(dir.Name(), name)
	temporary := temporaryPrefix + name
	if err := removeLeft(dir, name); err != nil {
		return err
	}
	if err := writeNew(dir, temporary, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := unix.Renameat(int(dir.Fd()), temporary, int(dir.Fd()), name); err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", path, err), unlink(dir, temporary))
	}
	return syncDir(dir)
}

// temporaryPrefix is what the name of a file begins with that Replace has not
// put in its place yet.
const temporaryPrefix = ".new-"

func writeNew(dir *os.File, name string, data []byte, mode fs.FileMode) (err error) {
	file, err := CreateIn(dir, name)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, unlink(dir, name))
		}
	}()
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := file.Chmod(mode.Perm()); err != nil {
		return err
	}
	return file.Sync()
}

// Remove takes the file name out of dir, for good when it returns nil.
func Remove(dir *os.File, name string) error {
	if err := errors.Join(removeLeft(dir, name), unlink(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

// removeLeft removes what a killed Replace of name left.
func removeLeft(dir *os.File, name string) error {
	err := unlink(dir, temporaryPrefix+name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func unlink(dir *os.File, name string) error {
	if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: filepath.Join(dir.Name(), name), Err: err}
	}
	return nil
}

func syncDir(dir *os.File) error {
	if err := unix.Fsync(int(dir.Fd())); err != nil {
		return &fs.PathError{Op: "sync", Path: dir.Name(), Err: err}
	}
	return nil
}
