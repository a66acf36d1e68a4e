package local

import (
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links a path may lead through, as in the kernel.
const maxLinks = 40

// RealPath resolves links one component after the other.
func (f *Files) RealPath(path string) (string, error) {
	done, rest := "", path
	if !strings.HasPrefix(path, "/") {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Getcwd(buf)
		if err != nil {
			return "", err
		}
		done = strings.TrimSuffix(string(buf[:n-1]), "/")
	}
	for links := 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			done = done[:max(strings.LastIndexByte(done, '/'), 0)]
			continue
		}
		next := done + "/" + name
		if f.options.Deny.Match(next) {
			return "", unix.EACCES
		}
		var st unix.Stat_t
		err := unix.Lstat(next, &st)
		switch {
		case err == unix.ENOENT && rest == "":
			done = next
			continue
		case err != nil:
			return "", err
		case st.Mode&unix.S_IFMT != unix.S_IFLNK:
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		target, err := readlinkat(unix.AT_FDCWD, next)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(target, "/") {
			done = ""
		}
		if rest != "" {
			target += "/"
		}
		if rest = target + rest; len(rest) >= unix.PathMax {
			return "", unix.ENAMETOOLONG
		}
	}
	if done == "" {
		done = "/"
	}
	return done, nil
}
