package local_test

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/deny"
	"github.com/otpgate/otpgate/internal/sftp/local"
)

func newFiles(t *testing.T, options local.Options, patterns ...string) *local.Files {
	t.Helper()
	var err error
	if options.Deny, err = deny.Parse(patterns); err != nil {
		t.Fatal(err)
	}
	files, err := local.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return files
}

// realTemp is a directory whose path holds no link.
func realTemp(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(files *local.Files, path string, flags int) error {
	file, _, err := files.Open(path, flags, 0o644)
	if err == nil {
		err = file.Close()
	}
	return err
}

// TestOpenNeverWaits opens FIFOs that nobody else has open.
func TestOpenNeverWaits(t *testing.T) {
	dir := realTemp(t)
	fifo := filepath.Join(dir, "fifo")
	try(t, unix.Mkfifo(fifo, 0o600))
	for _, files := range []*local.Files{newFiles(t, local.Options{}), newFiles(t, local.Options{}, "denied")} {
		if err := open(files, fifo, os.O_RDONLY); err != nil {
			t.Errorf("to read: %v", err)
		}
		if err := open(files, fifo, os.O_WRONLY); err != unix.ENXIO {
			t.Errorf("to write: %v", err)
		}
		change := sftp.Change{HasSize: true}
		if err := files.SetStat(fifo, change, true); err == nil {
			t.Error("a FIFO was truncated")
		}
		if _, err := files.OpenDir(fifo); err != unix.ENOTDIR {
			t.Errorf("as a directory: %v", err)
		}
	}
}

// TestLease: a file that somebody has a lease on is opened once that is given
// back.
func TestLease(t *testing.T) {
	path := filepath.Join(realTemp(t), "file")
	holder, err := os.Create(path)
	try(t, err)
	defer holder.Close()
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGIO)
	defer signal.Stop(broken)
	if _, err := unix.FcntlInt(holder.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatalf("no lease: %v", err)
	}
	lease := holder.Fd()
	var giving sync.WaitGroup
	giving.Go(func() {
		<-broken
		time.Sleep(50 * time.Millisecond)
		_, _ = unix.FcntlInt(lease, unix.F_SETLEASE, unix.F_UNLCK)
	})
	defer giving.Wait()
	files := newFiles(t, local.Options{})
	if err := open(files, path, os.O_RDONLY); err != nil {
		t.Error(err)
	}
}

// TestRealPathOfOpen is what the audit is told.
func TestRealPathOfOpen(t *testing.T) {
	dir := realTemp(t)
	try(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	try(t, os.Symlink("file", filepath.Join(dir, "link")))
	files := newFiles(t, local.Options{})
	file, real, err := files.Open(dir+"/../"+filepath.Base(dir)+"//link", os.O_RDONLY, 0)
	try(t, err)
	try(t, file.Close())
	if real != filepath.Join(dir, "file") {
		t.Errorf("opened %s", real)
	}
}

// operations are everything that takes a path, each on the path given.
func operations(files *local.Files, dir string) map[string]func(path string) error {
	other := filepath.Join(dir, "other")
	return map[string]func(path string) error{
		"open":     func(path string) error { return open(files, path, os.O_RDONLY) },
		"write":    func(path string) error { return open(files, path, os.O_WRONLY) },
		"truncate": func(path string) error { return open(files, path, os.O_WRONLY|os.O_TRUNC) },
		"create":   func(path string) error { return open(files, path, os.O_WRONLY|os.O_CREATE) },
		"anew":     func(path string) error { return open(files, path, os.O_WRONLY|os.O_CREATE|os.O_EXCL) },
		"list": func(path string) error {
			opened, err := files.OpenDir(path)
			if err == nil {
				err = opened.Close()
			}
			return err
		},
		"stat":      func(path string) error { _, err := files.Stat(path, true); return err },
		"lstat":     func(path string) error { _, err := files.Stat(path, false); return err },
		"chmod":     func(path string) error { return files.SetStat(path, sftp.Change{HasMode: true, Mode: 0o700}, true) },
		"lchmod":    func(path string) error { return files.SetStat(path, sftp.Change{HasMode: true, Mode: 0o700}, false) },
		"touch":     func(path string) error { return files.SetStat(path, sftp.Change{HasTimes: true}, true) },
		"cut":       func(path string) error { return files.SetStat(path, sftp.Change{HasSize: true}, true) },
		"mkdir":     func(path string) error { return files.Mkdir(path, 0o700) },
		"rmdir":     files.Rmdir,
		"remove":    files.Remove,
		"from":      func(path string) error { return files.Rename(path, other, true) },
		"to":        func(path string) error { return files.Rename(filepath.Join(dir, "file"), path, true) },
		"to new":    func(path string) error { return files.Rename(filepath.Join(dir, "file"), path, false) },
		"link from": func(path string) error { return files.Link(path, other) },
		"link to":   func(path string) error { return files.Link(filepath.Join(dir, "file"), path) },
		"symlink":   func(path string) error { return files.Symlink("anything", path) },
		"readlink":  func(path string) error { _, err := files.Readlink(path); return err },
		"realpath":  func(path string) error { _, err := files.RealPath(path); return err },
		"statvfs":   func(path string) error { _, err := files.StatVFS(path); return err },
	}
}

func names(t *testing.T, files *local.Files, path string) string {
	t.Helper()
	opened, err := files.OpenDir(path)
	try(t, err)
	defer opened.Close()
	var list []string
	for {
		entries, err := opened.Next()
		for _, entry := range entries {
			list = append(list, entry.Name)
		}
		if err == io.EOF {
			slices.Sort(list)
			return strings.Join(list, " ")
		}
		try(t, err)
	}
}

// TestReadOnly tries every change.
func TestReadOnly(t *testing.T) {
	dir := realTemp(t)
	path := filepath.Join(dir, "file")
	try(t, os.WriteFile(path, []byte("text"), 0o644))
	try(t, os.Symlink("file", filepath.Join(dir, "link")))
	files := newFiles(t, local.Options{ReadOnly: true})
	reads := []string{"open", "stat", "lstat", "realpath", "statvfs", "list", "readlink"}
	for name, do := range operations(files, dir) {
		for _, target := range []string{"file", "new"} {
			if err := do(filepath.Join(dir, target)); !slices.Contains(reads, name) && err != unix.EACCES {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, name := range []string{"open", "stat", "lstat", "realpath", "statvfs"} {
		try(t, operations(files, dir)[name](path))
	}
	fd, err := unix.Open(path, unix.O_RDWR, 0)
	try(t, err)
	defer unix.Close(fd)
	if err := files.FSetStat(sftp.Descriptor(fd), sftp.Change{HasMode: true}); err != unix.EACCES {
		t.Errorf("FSetStat: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "text" || err != nil {
		t.Errorf("%q %v", text, err)
	}
	if got := names(t, files, dir); got != ". .. file link" {
		t.Error(got)
	}
}

// TestNoDescriptorIsLeft does everything, denied and not.
func TestNoDescriptorIsLeft(t *testing.T) {
	dir := realTemp(t)
	try(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	files := newFiles(t, local.Options{}, "denied")
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		try(t, err)
		return len(entries)
	}
	before := count()
	for range 3 {
		for _, do := range operations(files, dir) {
			for _, path := range []string{"file", "denied", "missing", ".", "", "/", "file/x", strings.Repeat("x", 300)} {
				_ = do(filepath.Join(dir, path))
			}
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}
