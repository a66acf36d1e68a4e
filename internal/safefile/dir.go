package safefile

import "fmt"

// OpenDirIn opens the directory name in an open directory, with the checks of
// OpenDir. It belongs to the owner of the directory it is in.
func OpenDirIn(dir *File, name string) (*File, error) {
	if !isFileName(name) {
		return nil, fmt.Errorf("open directory in %s: %w: %q is no file name", dir.Name(), ErrUnsafe, name)
	}
	return openDirAt(dir.fd, name, dir.in(name), dir.seen, checkDirIn)
}
