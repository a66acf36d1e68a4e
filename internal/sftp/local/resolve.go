package local

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// location is what the *at calls are given.
type location struct {
	dir  int
	path string
	real string // where denied paths are looked at
	fd   int    // to close, or -1
}

func (at location) release() {
	if at.fd >= 0 {
		_ = unix.Close(at.fd)
	}
}

// plain is the location of a path where nothing is denied: the path itself.
func plain(path string) location { return location{dir: unix.AT_FDCWD, path: path, fd: -1} }

// resolve is the location of what a path leads to, or of the link at its end.
// Where something is denied it is held open, and its real path was matched.
func (f *Files) resolve(path string, follow bool) (location, error) {
	switch {
	case f.options.Deny.Empty():
		return plain(path), nil
	case follow:
		return f.hold(path, 0)
	case isName(path):
		return f.resolveName(path)
	}
	at, err := f.hold(path, unix.O_DIRECTORY)
	at.dir, at.path = at.fd, "."
	return at, err
}

// resolveName is the location of a name in a directory. Where something is denied
// the directory is held open, and its real path with the name was matched. The
// calls that change names do not follow one that is a link, slash or not, and
// all refuse "/", "." and "..".
func (f *Files) resolveName(path string) (location, error) {
	if f.options.Deny.Empty() {
		return plain(path), nil
	}
	parent, base := split(path)
	at, err := f.hold(parent, unix.O_DIRECTORY)
	if err != nil {
		return location{}, err
	}
	at.dir, at.path = at.fd, base
	switch name := strings.TrimRight(base, "/"); name {
	case "", ".", "..":
	default:
		at.real = strings.TrimSuffix(at.real, "/") + "/" + name
	}
	if f.options.Deny.Match(at.real) {
		at.release()
		return location{}, unix.EACCES
	}
	return at, nil
}

// isName says whether a path ends in a name: not in a slash, "." or "..",
// which lead to directories through links.
func isName(path string) bool {
	base := path[strings.LastIndexByte(path, '/')+1:]
	return base != "" && base != "." && base != ".."
}

// split is the directory and the last component, with the slashes behind it.
func split(path string) (parent, base string) {
	slash := strings.LastIndexByte(strings.TrimRight(path, "/"), '/')
	if slash < 0 {
		return ".", path
	}
	return path[:slash+1], path[slash+1:]
}

// hold opens what a path leads to without any access to it, and matches the
// real path. That of a removed file ends in " (deleted)"; that of one outside
// the root does not begin with a slash.
func (f *Files) hold(path string, flags int) (location, error) {
	fd, err := openat(location{dir: unix.AT_FDCWD, path: path}, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return location{}, err
	}
	real, err := f.realOf(fd)
	if err == nil && (!strings.HasPrefix(real, "/") || f.options.Deny.Match(real) ||
		f.options.Deny.Match(strings.TrimSuffix(real, " (deleted)"))) {
		err = unix.EACCES
	}
	if err != nil {
		_ = unix.Close(fd)
		return location{}, err
	}
	return location{dir: f.proc, path: strconv.Itoa(fd), real: real, fd: fd}, nil
}

// resolveOpen is the location to open. Where something is denied, an existing file
// is opened by what was matched, and a new one is made by its name in the
// directory that was matched, where a link that leads nowhere is in the way.
func (f *Files) resolveOpen(path string, flags int) (location, int, error) {
	if f.options.Deny.Empty() || flags&unix.O_CREAT == 0 {
		at, err := f.resolve(path, true)
		return at, flags, err
	}
	if flags&unix.O_EXCL == 0 && !strings.HasSuffix(path, "/") {
		at, err := f.resolve(path, true)
		if err != unix.ENOENT {
			return at, flags &^ unix.O_CREAT, err
		}
	}
	at, err := f.resolveName(path)
	return at, flags | unix.O_EXCL | unix.O_NOFOLLOW, err
}
