package account

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

const suffix = ".toml"

// Dir is the store of the secret files in a directory, which it holds open.
type Dir struct {
	store
	files *files
}

// newDir is the store in an open directory.
func newDir(dir *safefile.File, p Place) *Dir {
	f := &files{dir: dir, now: p.time, lock: safefile.LockDir, replaceAll: safefile.ReplaceAll}
	return &Dir{store{texts: f, place: p, rest: time.Sleep}, f}
}

// files are the texts of secret files in a directory.
type files struct {
	dir *safefile.File
	now func() time.Time
	// lock is safefile.LockDir.
	lock func(dir *safefile.File) (unlock func(), err error)
	// replaceAll is safefile.ReplaceAll.
	replaceAll func(dir *safefile.File, files []safefile.Replacement, mode fs.FileMode) error
}

// rules of a secret file. 64 KiB hold hundreds of factors.
var rules = safefile.Rules{Forbidden: 0o077, MaxSize: MaxText}

// MaxText bounds a secret file, in bytes.
const MaxText = 64 << 10

// inFile has an error say what it is about.
func inFile(err error) error { return fmt.Errorf("secret file: %w", err) }

// Path returns where the secret file of name is.
func (f *files) Path(name string) string { return f.dir.Name() + "/" + name + suffix }

func (f *files) notFound(name string) error { return fmt.Errorf("%s: %w", f.Path(name), ErrNotFound) }

// Read implements [Texts].
func (f *files) Read(name string) (Text, error) {
	file, err := safefile.OpenIn(f.dir, name+suffix, unix.O_RDONLY, rules)
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.checkMoved(); err != nil {
			return Text{}, inFile(err)
		}
		return Text{}, f.notFound(name)
	}
	if err != nil {
		return Text{}, inFile(err)
	}
	defer file.Close()
	seen := safefile.StampOf(file.Seen(), f.dir.Seen().Uid, f.now())
	data, err := safefile.ReadOpen(file, rules)
	if err != nil {
		return Text{}, inFile(err)
	}
	return Text{Data: data, seen: seen}, nil
}

// Lock implements [Texts]. It is the lock of the directory, so that all wait for each
// other who change anything in it.
func (f *files) Lock(...string) (unlock func(), err error) { return f.lock(f.dir) }

// Write implements [Texts]. Under the lock nobody else writes.
func (f *files) Write(name string, data []byte, _ Text) error {
	return safefile.Replace(f.dir, name+suffix, data, 0o600)
}

// WriteAll implements [Texts]. It waits for the disk once.
func (f *files) WriteAll(all []Writing) (failed map[string]error, err error) {
	replacements := make([]safefile.Replacement, len(all))
	for i, one := range all {
		replacements[i] = safefile.Replacement{Name: one.Name + suffix, Data: one.Data}
	}
	return nil, f.replaceAll(f.dir, replacements, 0o600)
}

// Remove implements [Texts].
func (f *files) Remove(name string, _ *Text) error {
	err := safefile.Remove(f.dir, name+suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return f.notFound(name)
	}
	return err
}

// RemoveLeft implements [Texts].
func (f *files) RemoveLeft() error { return safefile.RemoveAllLeft(f.dir) }

// Close implements [Texts].
func (f *files) Close() error { return f.dir.Close() }

// Like implements [Texts]. It keeps none of the other names in memory.
func (f *files) Like(name string) (like []string, err error) {
	dir, err := os.Open(f.dir.Name())
	if err != nil {
		return nil, fmt.Errorf("list secret files: %w", err)
	}
	defer dir.Close()
	for {
		files, err := dir.Readdirnames(1000)
		for _, file := range files {
			other, found := strings.CutSuffix(file, suffix)
			if found && other != name && strings.EqualFold(other, name) && CheckName(other) == nil {
				like = append(like, other)
			}
		}
		if errors.Is(err, io.EOF) {
			if err := f.checkMoved(); len(like) == 0 && err != nil {
				return nil, inFile(err)
			}
			return like, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list secret files: %w", err)
		}
	}
}

// List implements [Texts]. What begins with a dot is left out.
func (f *files) List() (names, strays []string, err error) {
	if err := f.checkMoved(); err != nil {
		return nil, nil, inFile(err)
	}
	dir, err := os.Open(f.dir.Name())
	var files []string
	if err == nil {
		files, err = dir.Readdirnames(-1)
		_ = dir.Close()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list secret files: %w", err)
	}
	for _, file := range files {
		name, found := strings.CutSuffix(file, suffix)
		switch {
		case found && CheckName(name) == nil:
			names = append(names, name)
		case !strings.HasPrefix(file, "."):
			strays = append(strays, file)
		}
	}
	slices.Sort(names)
	slices.Sort(strays)
	return names, strays, nil
}
