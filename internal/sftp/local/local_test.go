package local_test

import (
	"errors"
	"fmt"
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

// in gives up after a while, so that a test sees what waits.
func in(t *testing.T, limit time.Duration, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		t.Fatal("it waits")
		return nil
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
		if err := in(t, time.Minute, func() error { return open(files, fifo, os.O_RDONLY) }); err != nil {
			t.Errorf("to read: %v", err)
		}
		if err := in(t, time.Minute, func() error { return open(files, fifo, os.O_WRONLY) }); err != unix.ENXIO {
			t.Errorf("to write: %v", err)
		}
		change := sftp.Change{HasSize: true}
		if err := in(t, time.Minute, func() error { return files.SetStat(fifo, change, true) }); err == nil {
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
	if err := in(t, 40*time.Second, func() error { return open(files, path, os.O_RDONLY) }); err != nil {
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

// TestDenied tries everything on what is denied, by every way to it.
func TestDenied(t *testing.T) {
	dir := realTemp(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "a/private", "a/private/deep", ".ssh", "b", "keep"} {
		try(t, os.Mkdir(at(name), 0o755))
	}
	for _, name := range []string{"file", "a/private/x", "a/private/deep/y", ".ssh/id", "b/z.key", "keep/z"} {
		try(t, os.WriteFile(at(name), []byte("text"), 0o644))
	}
	try(t, os.Symlink("a/private", at("into")))
	try(t, os.Symlink("a/private/x", at("tox")))
	try(t, os.Symlink("a/private/not-there", at("tonew")))
	try(t, os.Symlink("into", at("twice")))
	files := newFiles(t, local.Options{}, dir+"/*/private", ".ssh", "*.key")

	// By a name that is denied everything is.
	direct := []string{
		"a/private", "a/private/", "a/private/.", "a/./private", "a//private", "b/../a/private", "a/private/x", "a/private/not-there",
		"a/private/deep/y", "a/private/deep/../x", "into/x", "into/deep/y", "into/not-there", "twice/x", "into/.", "into/deep/..",
		".ssh", ".ssh/id", "keep/../.ssh/id", "b/z.key", "b/new.key", "b/new.key/x",
	}
	for name, do := range operations(files, dir) {
		for _, path := range direct {
			missing := strings.Contains(path, "not-there") || strings.Contains(path, "new.key")
			if err := do(dir + "/" + path); !errors.Is(err, unix.EACCES) && !(missing && errors.Is(err, unix.ENOENT)) {
				t.Errorf("%s %s: %v", name, path, err)
			}
		}
	}
	// A link to it may be looked at and removed, and nothing passes through it.
	for name, do := range operations(files, dir) {
		for _, path := range []string{"into", "into/", "twice", "tox"} {
			switch name {
			case "lstat", "readlink", "remove", "from", "to", "link from", "rmdir", "lchmod", "mkdir", "anew", "to new", "link to", "symlink":
				continue
			}
			err := do(dir + "/" + path)
			if !errors.Is(err, unix.EACCES) && !(path == "into/" && name == "create" && errors.Is(err, unix.EISDIR)) {
				t.Errorf("%s %s: %v", name, path, err)
			}
		}
	}
	if err := open(files, at("tonew"), os.O_WRONLY|os.O_CREATE); err == nil {
		t.Error("made a file through a link that leads nowhere")
	}
	for _, path := range []string{"into/", "into"} {
		for _, name := range []string{"rmdir", "lchmod", "mkdir", "anew", "create"} {
			if err := operations(files, dir)[name](dir + "/" + path); err == nil {
				t.Errorf("%s %s succeeded", name, path)
			}
		}
	}
	// Nothing above it is renamed, or it would have another name.
	for _, path := range []string{"a", "a/", "b/../a", "."} {
		if err := files.Rename(dir+"/"+path, at("c"), true); !errors.Is(err, unix.EACCES) {
			t.Errorf("rename %s: %v", path, err)
		}
	}
	// Nor is anything given a name that makes what it holds one that is denied.
	try(t, os.MkdirAll(at("b/deep/private"), 0o755))
	for _, path := range []string{"d", "d/", "b/../d"} {
		for _, overwrite := range []bool{false, true} {
			if err := files.Rename(at("b/deep"), dir+"/"+path, overwrite); !errors.Is(err, unix.EACCES) {
				t.Errorf("rename to %s: %v", path, err)
			}
		}
	}
	if err := files.Rename(at("keep/z"), at("keep/z.key"), true); !errors.Is(err, unix.EACCES) {
		t.Errorf("rename into a denied name: %v", err)
	}
	// All is as it was.
	for _, name := range []string{"a/private/x", "a/private/deep/y", ".ssh/id", "b/z.key"} {
		info, err := os.Lstat(at(name))
		if err != nil || info.Size() != 4 || info.Mode() != 0o644 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	for _, name := range []string{"a/private/not-there", "b/new.key", "c", "d", "other"} {
		if _, err := os.Lstat(at(name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	// And denied names are not in lists.
	for path, want := range map[string]string{dir: ". .. a b file into keep tonew tox twice", at("a"): ". ..", at("b"): ". .. deep"} {
		if got := names(t, files, path); got != want {
			t.Errorf("%s has %s", path, got)
		}
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

// TestDeniedAndRemoved opens what had a denied name when it was removed.
func TestDeniedAndRemoved(t *testing.T) {
	path := filepath.Join(realTemp(t), "secret.key")
	secret, err := os.Create(path)
	try(t, err)
	defer secret.Close()
	try(t, os.Remove(path))
	way := fmt.Sprint("/proc/self/fd/", secret.Fd())
	try(t, open(newFiles(t, local.Options{}, "*.pem"), way, os.O_RDONLY))
	if err := open(newFiles(t, local.Options{}, "*.key"), way, os.O_RDONLY); err != unix.EACCES {
		t.Error(err)
	}
}

// TestAllowedBesideDenied does everything beside what is denied.
func TestAllowedBesideDenied(t *testing.T) {
	dir := realTemp(t)
	files := newFiles(t, local.Options{}, dir+"/private", "*.key")
	at := func(name string) string { return filepath.Join(dir, name) }
	try(t, files.Mkdir(at("d"), 0o755))
	try(t, open(files, at("d/new"), os.O_WRONLY|os.O_CREATE))
	try(t, os.WriteFile(at("d/new"), []byte("text"), 0o600))
	try(t, open(files, at("d/new"), os.O_RDWR|os.O_CREATE))
	try(t, open(files, at("d/excl"), os.O_RDWR|os.O_CREATE|os.O_EXCL))
	if err := open(files, at("d/excl"), os.O_RDWR|os.O_CREATE|os.O_EXCL); err != unix.EEXIST {
		t.Errorf("again: %v", err)
	}
	try(t, files.Link(at("d/new"), at("hard")))
	try(t, files.Symlink("d", at("link")))
	try(t, files.Rename(at("link/excl"), at("moved"), false))
	if err := files.Rename(at("moved"), at("hard"), false); err != unix.EEXIST {
		t.Errorf("rename over: %v", err)
	}
	try(t, files.SetStat(at("link/new"), sftp.Change{HasSize: true, Size: 2, HasMode: true, Mode: 0o640, HasTimes: true, Mtime: 77, HasOwner: true, UID: 1, GID: 2}, true))
	attr, err := files.Stat(at("hard"), true)
	if err != nil || attr.Size != 2 || attr.Mode != unix.S_IFREG|0o640 || attr.Mtime != 77 || attr.UID != 1 || attr.GID != 2 || attr.Nlink != 2 {
		t.Errorf("%+v %v", attr, err)
	}
	if target, err := files.Readlink(at("link")); target != "d" || err != nil {
		t.Errorf("%q %v", target, err)
	}
	if real, err := files.RealPath(at("link/../link/new")); real != at("d/new") || err != nil {
		t.Errorf("%q %v", real, err)
	}
	if st, err := files.StatVFS(at("link/new")); st.Bsize == 0 || err != nil {
		t.Errorf("%+v %v", st, err)
	}
	try(t, open(files, at("link/new"), os.O_WRONLY|os.O_TRUNC))
	try(t, files.Remove(at("link")))
	try(t, files.Remove(at("d/new/")))
	try(t, files.Rmdir(at("d/")))
	if got := names(t, files, dir+"/."); got != ". .. hard moved" {
		t.Error(got)
	}
}

// TestSwapped swaps a link between an allowed and a denied directory while
// files are opened, made, listed and removed through it.
func TestSwapped(t *testing.T) {
	dir := realTemp(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"good", "private"} {
		try(t, os.Mkdir(at(name), 0o755))
		try(t, os.WriteFile(at(name+"/file"), []byte(name), 0o644))
	}
	try(t, os.WriteFile(at("private/victim"), nil, 0o644))
	try(t, os.Symlink("good", at("way")))
	files := newFiles(t, local.Options{}, dir+"/private")
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Symlink([]string{"good", "private"}[i%2], at("next"))
			_ = os.Rename(at("next"), at("way"))
		}
	})
	opened := 0
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
		file, real, err := files.Open(at("way/file"), os.O_RDONLY, 0)
		if err == nil {
			opened++
			text := make([]byte, 10)
			n, _ := file.Pread(text, 0)
			_ = file.Close()
			if string(text[:n]) != "good" || real != at("good/file") {
				t.Fatalf("%s was opened: %q", real, text[:n])
			}
		}
		_ = open(files, at("way/new"), os.O_WRONLY|os.O_CREATE)
		_ = files.Remove(at("way/victim"))
		_ = files.SetStat(at("way/victim"), sftp.Change{HasMode: true, Mode: 0o777}, true)
		if dir, err := files.OpenDir(at("way")); err == nil {
			entries, _ := dir.Next()
			for _, entry := range entries {
				if entry.Name == "victim" {
					t.Fatal("the denied directory was listed")
				}
			}
			_ = dir.Close()
		}
	}
	close(stop)
	swapping.Wait()
	if opened == 0 {
		t.Error("nothing was opened at all")
	}
	if _, err := os.Lstat(at("private/new")); err == nil {
		t.Error("a file was made in the denied directory")
	}
	if info, err := os.Lstat(at("private/victim")); err != nil || info.Mode() != 0o644 {
		t.Errorf("the victim: %v %v", info, err)
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
