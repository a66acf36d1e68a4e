package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// MovedName is the file in a directory of secret files that says that they are, or are to
// be, in etcd. With it there, nothing takes a file that is missing for somebody who has not
// enrolled: a program with a configuration of before denies.
const MovedName = "moved"

// MovedSuffix is behind the name of a secret file that was moved to etcd.
const MovedSuffix = ".moved"

// MovedError is about a directory in which none counts any more.
type MovedError struct{ Dir string }

func (e MovedError) Error() string {
	return fmt.Sprintf("the secret files in %s were moved to etcd, as %s/%s says; set ledger.people = true in the configuration, as on the other servers", e.Dir, e.Dir, MovedName)
}

// checkMoved fails with a MovedError if the directory has that file.
func (f *files) checkMoved() error {
	var there unix.Stat_t
	switch err := unix.Fstatat(f.dir.Fd(), MovedName, &there, unix.AT_SYMLINK_NOFOLLOW); err {
	case unix.ENOENT:
		return nil
	case nil:
		return MovedError{f.dir.Name()}
	default:
		return &os.PathError{Op: "stat", Path: f.dir.Name() + "/" + MovedName, Err: err}
	}
}

// ErrLeft is wrapped by the error for somebody whose secret file is in a directory in which
// none counts any more, and nowhere else.
var ErrLeft = errors.New("a secret file was left where none counts any more")

// leftError is an ErrLeft about a file.
type leftError struct{ path string }

func (e leftError) Error() string {
	return fmt.Sprintf("%s counts no more, as ledger.people of the configuration is true, and was not moved to etcd: if it is to count, otpctl ledger move --people; if not, take it away", e.path)
}

func (leftError) Is(target error) bool { return target == ErrLeft }

// CheckLeft fails with an ErrLeft if the secret file of name was left behind.
func (p Place) CheckLeft(name string) error {
	if p.Former == "" {
		return nil
	}
	path := p.Former + "/" + name + suffix
	switch _, err := os.Lstat(path); {
	case err == nil:
		return leftError{path}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for secret files that were left behind: %w", err)
	}
	return nil
}

// CheckLeftLike fails with an ErrLeft if a secret file was left behind whose name differs
// from name in its cases alone.
func (p Place) CheckLeftLike(name string) error {
	left, err := p.Left()
	if err != nil {
		return err
	}
	for _, path := range left {
		if strings.EqualFold(NameOfFile(path), name) {
			return leftError{path}
		}
	}
	return nil
}

// ErrForgotten is wrapped by the error for somebody whose secret file was moved to etcd from
// this machine, and of whom nothing is known there, not even that they were removed.
var ErrForgotten = errors.New("etcd knows nothing of a secret file that was moved there")

// forgottenError is an ErrForgotten about the file that was moved.
type forgottenError struct{ path string }

func (e forgottenError) Error() string {
	return fmt.Sprintf("%s was moved to etcd, which knows nothing of it now, as after a snapshot of before was restored: if it is to count, give it its name without %s and run otpctl ledger move --people; if not, take it away", e.path, MovedSuffix)
}

func (forgottenError) Is(target error) bool { return target == ErrForgotten }

// CheckForgotten fails with an ErrForgotten if the secret file of name was moved to etcd from
// here. It is for somebody of whom nothing is known there.
func (p Place) CheckForgotten(name string) error {
	if p.Former == "" {
		return nil
	}
	path := p.Former + "/" + name + suffix + MovedSuffix
	switch _, err := os.Lstat(path); {
	case err == nil:
		return forgottenError{path}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for secret files that were moved to etcd: %w", err)
	}
	return nil
}

// MovedLike lists the people whose secret files were moved to etcd from here and whose names
// differ from name in their cases alone.
func (p Place) MovedLike(name string) (like []string, err error) {
	entries, err := p.former()
	for _, entry := range entries {
		other, found := strings.CutSuffix(entry.Name(), suffix+MovedSuffix)
		if found && other != name && strings.EqualFold(other, name) && CheckName(other) == nil {
			like = append(like, other)
		}
	}
	return like, err
}

// NameOfFile is whose secret file a path is.
func NameOfFile(path string) string {
	return strings.TrimSuffix(path[strings.LastIndexByte(path, '/')+1:], suffix)
}

// Left lists the secret files that were left behind.
func (p Place) Left() (paths []string, err error) {
	entries, err := p.former()
	for _, entry := range entries {
		if name, found := strings.CutSuffix(entry.Name(), suffix); found && CheckName(name) == nil {
			paths = append(paths, p.Former+"/"+entry.Name())
		}
	}
	return paths, err
}

// former lists what is in the directory in which no secret file counts any more.
func (p Place) former() ([]fs.DirEntry, error) {
	if p.Former == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(p.Former)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for secret files that were left behind: %w", err)
	}
	return entries, nil
}
