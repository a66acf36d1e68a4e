package local

import (
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links a path may lead through, as in the kernel.
const maxLinks = 40

// walk is a path whose beginning is resolved.
type walk struct {
	done  string // without a slash at its end, so "" for the root
	rest  string
	links int
}

// RealPath resolves links one component after the other.
func (f *Files) RealPath(path string) (string, error) {
	w := walk{rest: path}
	if !strings.HasPrefix(path, "/") {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Getcwd(buf)
		if err != nil {
			return "", err
		}
		w.done = strings.TrimSuffix(string(buf[:n-1]), "/")
	}
	for w.rest != "" {
		var name string
		name, w.rest, _ = strings.Cut(w.rest, "/")
		switch name {
		case "", ".":
		case "..":
			w.done = w.done[:max(strings.LastIndexByte(w.done, '/'), 0)]
		default:
			if err := f.enter(&w, w.done+"/"+name); err != nil {
				return "", err
			}
		}
	}
	if w.done == "" {
		return "/", nil
	}
	return w.done, nil
}

// enter goes on to next, or to where it leads. The last one need not be there.
func (f *Files) enter(w *walk, next string) error {
	if f.options.Deny.Match(next) {
		return unix.EACCES
	}
	var st unix.Stat_t
	err := unix.Lstat(next, &st)
	switch {
	case err == unix.ENOENT && w.rest == "":
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return w.follow(next)
	}
	w.done = next
	return nil
}

// follow puts what a link leads to before the rest.
func (w *walk) follow(link string) error {
	if w.links++; w.links > maxLinks {
		return unix.ELOOP
	}
	target, err := readlinkat(unix.AT_FDCWD, link)
	if err != nil {
		return err
	}
	if strings.HasPrefix(target, "/") {
		w.done = ""
	}
	if w.rest != "" {
		target += "/"
	}
	if w.rest = target + w.rest; len(w.rest) >= unix.PathMax {
		return unix.ENAMETOOLONG
	}
	return nil
}
