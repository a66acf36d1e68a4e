package safefile

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ReadOf returns the contents of a file at path, an absolute path, that must
// belong to the user with these ids. It is for what people keep in their homes
// and may be believed about themselves alone.
//
// Root's own are read as with Read. Anybody else can arrange the directories on
// the way to suit, so nothing is made of those. Instead the file is opened with
// that user's rights, which the kernel and a file server hold it to, and only
// what is the user's own is read: whatever else a link leads to is refused. The
// last part of the path may not be a link, and nothing blocks on a FIFO.
func ReadOf(path string, uid, gid uint32, rules Rules) ([]byte, error) {
	if uid == 0 {
		return Read(path, rules)
	}
	clean := filepath.Clean(path)
	if !filepath.IsAbs(clean) {
		return nil, fmt.Errorf("open %s: %w: not an absolute path", path, ErrUnsafe)
	}
	fd := -1
	err := asUser(uid, gid, func() (err error) {
		fd, err = unix.Open(clean, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, openError(clean, err)
	}
	file := &File{fd: fd, path: clean}
	defer file.Close()
	if err := file.look(); err != nil {
		return nil, err
	}
	if err := checkTheirs(file.seen, clean, uid, rules); err != nil {
		return nil, err
	}
	return ReadOpen(file, rules)
}

// checkTheirs does not count links: that a file has another name, somebody else
// may have seen to.
func checkTheirs(st unix.Stat_t, path string, uid uint32, rules Rules) error {
	if st.Uid != uid {
		return fmt.Errorf("%s: %w: owned by uid %d, expected uid %d", path, ErrUnsafe, st.Uid, uid)
	}
	st.Nlink = 1
	return checkStat(st, path, uid, rules)
}
