package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// RootsAlone says why a file, where links to it lead, is not root's alone: nobody else
// may write it, nor put another one in its place. One that is not there is nobody's.
func RootsAlone(path string) error {
	path, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s: expected an absolute path", path)
	}
	for {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		owner, known := info.Sys().(*syscall.Stat_t)
		writable := info.Mode().Perm()&0o022 != 0 && !(info.IsDir() && info.Mode()&fs.ModeSticky != 0)
		if !known || owner.Uid != 0 || writable {
			return fmt.Errorf("%s is not root's, or others than root can write it", path)
		}
		if path == "/" {
			return nil
		}
		path = filepath.Dir(path)
	}
}
