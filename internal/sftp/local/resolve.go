package local

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// place is what the *at calls are given.
type place struct {
	dir  int
	path string
	real string // where denied paths are looked at
	fd   int    // to close, or -1
}

func (at place) release() {
	if at.fd >= 0 {
		_ = unix.Close(at.fd)
	}
}

// resolve is the place of a path. Where nothing is denied that is the path
// itself. Where something is, it is either the name in a directory that is held
// open (not followed), or the magic link in /proc/self/fd of what is held open
// (followed), and the real path of that was matched.
func (f *Files) resolve(path string, follow bool) (place, error) {
	if f.options.Deny.Empty() {
		return place{dir: unix.AT_FDCWD, path: path, fd: -1}, nil
	}
	if follow {
		return f.hold(path, 0)
	}
	parent, base := split(path)
	if base == "" {
		return f.hold(path, 0)
	}
	at, err := f.hold(parent, unix.O_DIRECTORY)
	if err != nil {
		return place{}, err
	}
	at.real = strings.TrimSuffix(at.real, "/") + "/" + base
	if f.options.Deny.Match(at.real) {
		at.release()
		return place{}, unix.EACCES
	}
	at.dir, at.path = at.fd, base
	return at, nil
}

// split is the directory and the last component. There is no such component in
// "/", "." and "..". Slashes at the end are cut, as they would follow a link.
func split(path string) (parent, base string) {
	trimmed := strings.TrimRight(path, "/")
	slash := strings.LastIndexByte(trimmed, '/')
	parent, base = trimmed[:slash+1], trimmed[slash+1:]
	if parent == "" {
		parent = "."
	}
	switch base {
	case "", ".", "..":
		return path, ""
	}
	return parent, base
}

// hold opens what a path leads to without any access to it, and matches the
// real path. That of a removed file ends in " (deleted)"; that of one outside
// the root does not begin with a slash.
func (f *Files) hold(path string, flags int) (place, error) {
	fd, err := openat(place{dir: unix.AT_FDCWD, path: path}, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return place{}, err
	}
	real, err := f.realOf(fd)
	if err == nil && (!strings.HasPrefix(real, "/") || f.options.Deny.Match(real) ||
		f.options.Deny.Match(strings.TrimSuffix(real, " (deleted)"))) {
		err = unix.EACCES
	}
	if err != nil {
		_ = unix.Close(fd)
		return place{}, err
	}
	return place{dir: f.proc, path: strconv.Itoa(fd), real: real, fd: fd}, nil
}

// resolveOpen is the place to open. Where something is denied, an existing file
// is opened by what was matched, and a new one is made by its name in the
// directory that was matched, where a link that leads nowhere is in the way.
func (f *Files) resolveOpen(path string, flags int) (place, int, error) {
	if f.options.Deny.Empty() || flags&unix.O_CREAT == 0 {
		at, err := f.resolve(path, true)
		return at, flags, err
	}
	if flags&unix.O_EXCL == 0 {
		at, err := f.resolve(path, true)
		if err != unix.ENOENT {
			return at, flags &^ unix.O_CREAT, err
		}
	}
	at, err := f.resolve(path, false)
	return at, flags | unix.O_EXCL | unix.O_NOFOLLOW, err
}
