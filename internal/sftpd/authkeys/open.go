package authkeys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxSize bounds a file of keys.
const maxSize = 1 << 20

// errUnsafe says that somebody else could have written the file.
var errUnsafe = errors.New("refused")

// Open reads a file of keys. Neither it nor a directory above it, up to home
// or the root, may be somebody else's than uid's or root's, or
// writable by others.
func Open(path, home string, uid uint32) ([]byte, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return nil, fmt.Errorf("%s: %w: expected a file of at most %d bytes", real, errUnsafe, maxSize)
	}
	if err := checkOwner(real, info, uid); err != nil {
		return nil, err
	}
	if home, err = filepath.EvalSymlinks(home); err != nil {
		home = "/"
	}
	if err := checkAbove(real, home, uid); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, maxSize))
}

func checkAbove(path, home string, uid uint32) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Lstat(dir)
		if err != nil {
			return err
		}
		if err := checkOwner(dir, info, uid); err != nil {
			return err
		}
		if dir == home || dir == "/" {
			return nil
		}
	}
}

func checkOwner(path string, info os.FileInfo, uid uint32) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner != 0 && owner != uid {
		return fmt.Errorf("%s: %w: owned by uid %d, expected root or uid %d", path, errUnsafe, owner, uid)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%s: %w: mode %04o lets others write; run chmod go-w", path, errUnsafe, mode)
	}
	return nil
}

// Place puts a relative path below home.
func Place(path, home string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return filepath.Join(home, path)
}
