package sftp_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	client "github.com/pkg/sftp"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// library starts a server and gives a client of pkg/sftp, and what ends both.
func library(t *testing.T, dir string) (c *client.Client, end func()) {
	t.Helper()
	p := exec.Command(os.Args[0])
	p.Dir, p.Env = dir, environment()
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	c, err = client.NewClientPipe(out, in, client.UseConcurrentReads(true), client.UseConcurrentWrites(true))
	if err != nil {
		t.Fatal(err)
	}
	return c, func() {
		t.Helper()
		check(t, in.Close())
		check(t, p.Wait())
		_ = c.Close()
	}
}

// TestLibraryClient calls every operation of pkg/sftp's client.
func TestLibraryClient(t *testing.T) {
	dir, random := tree(t)
	c, end := library(t, dir)
	libraryContents(t, c, dir, random)
	libraryNames(t, c)
	libraryAttributes(t, c)
	if real, err := c.RealPath("a/../a/b/."); err != nil || real != filepath.Join(dir, "a/b") {
		t.Errorf("real path %q, %v", real, err)
	}
	if infos, err := c.ReadDir("many"); err != nil || len(infos) != 1001 {
		t.Errorf("%d files, %v", len(infos), err)
	}
	if st, err := c.StatVFS("."); err != nil || st.Bsize == 0 || st.Namemax != 255 {
		t.Errorf("statvfs says %+v, %v", st, err)
	}
	if _, err := c.Stat("missing"); !os.IsNotExist(err) {
		t.Errorf("missing: %v", err)
	}
	check(t, c.Remove("a/link"))
	check(t, c.RemoveDirectory("a/b/c"))
	check(t, c.RemoveAll("a"))
	exists(t, filepath.Join(dir, "a"), false)
	end()
}

// libraryContents reads a file, and leaves another that is named up.
func libraryContents(t *testing.T, c *client.Client, dir string, random []byte) {
	t.Helper()
	var got bytes.Buffer
	file, err := c.Open("random")
	check(t, err)
	_, err = file.WriteTo(&got)
	check(t, err)
	check(t, file.Close())
	if !bytes.Equal(got.Bytes(), random) {
		t.Error("what was read differs")
	}
	up, err := c.Create("up")
	check(t, err)
	_, err = up.ReadFrom(bytes.NewReader(random))
	check(t, err)
	check(t, up.Sync())
	check(t, up.Chmod(0o600))
	check(t, up.Truncate(100))
	check(t, up.Close())
	same(t, filepath.Join(dir, "up"), random[:100])
	appended, err := c.OpenFile("up", os.O_WRONLY|os.O_APPEND)
	check(t, err)
	_, err = appended.Write([]byte("more"))
	check(t, err)
	check(t, appended.Close())
	same(t, filepath.Join(dir, "up"), append(slices.Clone(random[:100]), "more"...))
}

// libraryNames makes folders, and a/link another name of up.
func libraryNames(t *testing.T, c *client.Client) {
	t.Helper()
	check(t, c.Mkdir("a"))
	check(t, c.MkdirAll("a/b/c"))
	check(t, c.Symlink("../up", "a/link"))
	if target, err := c.ReadLink("a/link"); err != nil || target != "../up" {
		t.Errorf("link to %q, %v", target, err)
	}
	check(t, c.Link("up", "a/hard"))
	check(t, c.Rename("a/hard", "a/name"))
	if err := c.Rename("a/name", "a/link"); err == nil {
		t.Error("a rename replaced a link")
	}
	check(t, c.PosixRename("a/name", "a/link"))
}

// libraryAttributes changes what up has and looks at it by its other name.
func libraryAttributes(t *testing.T, c *client.Client) {
	t.Helper()
	check(t, c.Chmod("up", 0o640))
	check(t, c.Chown("up", 1, 2))
	check(t, c.Truncate("up", 3))
	check(t, c.Chtimes("up", old, old))
	info, err := c.Stat("a/link")
	check(t, err)
	if st := info.Sys().(*client.FileStat); info.Size() != 3 || info.Mode() != 0o640 || st.UID != 1 || st.GID != 2 || !info.ModTime().Equal(old) {
		t.Errorf("stat says %+v", st)
	}
}
