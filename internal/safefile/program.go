package safefile

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CheckProgram says why a program must not be run, if so: it and all
// directories above belong to root, or who runs this, and nobody else may write
// there.
func CheckProgram(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s: expected an absolute path", path)
	}
	dir, err := OpenDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	file, err := OpenIn(dir, filepath.Base(path), unix.O_RDONLY, Rules{Forbidden: 0o022})
	if err != nil {
		return err
	}
	defer file.Close()
	if mode := file.Seen().Mode & 0o777; mode&0o111 == 0 {
		return fmt.Errorf("%s: expected a program, found mode %04o; run chmod 755", path, mode)
	}
	return nil
}
