package local_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/local"
)

// denied are paths in what TestDenied makes, each denied by its name.
var denied = []string{
	"a/private", "a/private/", "a/private/.", "a/./private", "a//private", "b/../a/private", "a/private/x", "a/private/not-there",
	"a/private/deep/y", "a/private/deep/../x", "into/x", "into/deep/y", "into/not-there", "twice/x", "into/.", "into/deep/..",
	".ssh", ".ssh/id", "keep/../.ssh/id", "b/z.key", "b/new.key", "b/new.key/x",
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
	deniedByName(t, files, dir)
	deniedThroughLinks(t, files, dir)
	deniedRenames(t, files, dir)
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

// deniedByName: by a name that is denied everything is.
func deniedByName(t *testing.T, files *local.Files, dir string) {
	t.Helper()
	for name, do := range operations(files, dir) {
		for _, path := range denied {
			missing := strings.Contains(path, "not-there") || strings.Contains(path, "new.key")
			if err := do(dir + "/" + path); !errors.Is(err, unix.EACCES) && !(missing && errors.Is(err, unix.ENOENT)) {
				t.Errorf("%s %s: %v", name, path, err)
			}
		}
	}
}

// deniedThroughLinks: a link to what is denied may be looked at and removed, and
// nothing passes through it.
func deniedThroughLinks(t *testing.T, files *local.Files, dir string) {
	t.Helper()
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
	if err := open(files, filepath.Join(dir, "tonew"), os.O_WRONLY|os.O_CREATE); err == nil {
		t.Error("made a file through a link that leads nowhere")
	}
	for _, path := range []string{"into/", "into"} {
		for _, name := range []string{"rmdir", "lchmod", "mkdir", "anew", "create"} {
			if err := operations(files, dir)[name](dir + "/" + path); err == nil {
				t.Errorf("%s %s succeeded", name, path)
			}
		}
	}
}

// deniedRenames: no name changes that makes another of what is denied.
func deniedRenames(t *testing.T, files *local.Files, dir string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	// Nothing above what is denied is renamed, or that would have another name.
	for _, path := range []string{"a", "a/", "b/../a", "."} {
		if err := files.Rename(dir+"/"+path, at("c"), true); !errors.Is(err, unix.EACCES) {
			t.Errorf("rename %s: %v", path, err)
		}
	}
	// Not even to where nothing is denied.
	try(t, os.MkdirAll(at("keep"), 0o755))
	if err := files.Rename(at("a"), at("keep/c"), true); !errors.Is(err, unix.EACCES) {
		t.Errorf("rename a to keep/c: %v", err)
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
	for tries := 0; tries < 20_000 || opened == 0; tries++ {
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
