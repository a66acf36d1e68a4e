package safefile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenDirIn opens the directory name in an open directory, with the checks of
// OpenDir. It belongs to the owner of the directory it is in.
func OpenDirIn(dir *os.File, name string) (*os.File, error) {
	path := filepath.Join(dir.Name(), name)
	if name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return nil, fmt.Errorf("open directory in %s: %w: %q is no file name", dir.Name(), ErrUnsafe, name)
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	owner, err := ownerOf(dir)
	if err == nil {
		err = checkOpen(fd, owner, path, checkDirIn)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}
