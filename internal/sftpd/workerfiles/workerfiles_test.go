package workerfiles

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/local"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
)

// connect gives a client and serves it with the files of this process.
func connect(t testing.TB) (client *Client, raw *seqpacket.Conn, served chan error) {
	t.Helper()
	return connectTo(t, func(files *local.Files) sftp.Files { return files })
}

// connectTo has the files wrapped.
func connectTo(t testing.TB, wrap func(*local.Files) sftp.Files) (client *Client, raw *seqpacket.Conn, served chan error) {
	t.Helper()
	files, err := local.New(local.Options{
		HomeOf: func(string) (string, error) { return "/home", nil },
		User:   func(id uint32) string { return fmt.Sprint("u", id) }, Group: func(id uint32) string { return fmt.Sprint("g", id) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ours, conn := seqpackettest.Pair(t)
	served = make(chan error, 1)
	go func() {
		err := Serve(conn, wrap(files))
		conn.Close()
		served <- err
		close(served)
	}()
	// Nothing of it is still being closed while the next test counts.
	t.Cleanup(func() {
		ours.Close()
		for range served {
		}
		files.Close()
	})
	return NewClient(ours), ours, served
}

// Everything that Files can do is done on the other side.
func TestAllOperations(t *testing.T) {
	c, _, _ := connect(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "a\xff b")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	file, real, err := c.Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil || real != path {
		t.Fatalf("open: %q %v", real, err)
	}
	defer file.Close()
	if _, passed := file.(sftp.Descriptor); !passed {
		t.Errorf("expected a descriptor, found %T", file)
	}
	if _, err := file.Pwrite([]byte("text"), 0); err != nil {
		t.Error(err)
	}
	check(c.FSetStat(file, sftp.Change{HasMode: true, Mode: 0o640}))
	attr, err := c.Stat(path, true)
	if err != nil || attr.Size != 4 || attr.Mode&0o7777 != 0o640 {
		t.Errorf("stat: %+v %v", attr, err)
	}
	check(c.SetStat(path, sftp.Change{HasTimes: true, Atime: 1, Mtime: 2}, true))
	check(c.Mkdir(dir+"/d", 0o700))
	check(c.Rename(path, dir+"/d/b", false))
	check(c.Link(dir+"/d/b", dir+"/c"))
	check(c.Symlink("c", dir+"/l"))
	expectAnswers(t, c, dir)
	check(c.Remove(dir + "/l"))
	check(c.Remove(dir + "/d/b"))
	check(c.Rmdir(dir + "/d"))
	if err := c.Rmdir(dir + "/d"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("expected ENOENT, found %v", err)
	}
	uids := make([]uint32, 3*namesAtOnce+1)
	uids[len(uids)-1] = 7
	if users, groups, err := c.Names(uids, []uint32{8}); err != nil || users[len(uids)-1] != "u7" || groups[0] != "g8" {
		t.Errorf("names: %d %q %v", len(users), groups, err)
	}
	expectRefusals(t, c, dir)
}

// expectAnswers asks what the other side knows of a link l to c, of a file
// system and of a home.
func expectAnswers(t *testing.T, c *Client, dir string) {
	t.Helper()
	if target, err := c.Readlink(dir + "/l"); target != "c" {
		t.Errorf("readlink: %q %v", target, err)
	}
	if real, err := c.RealPath(dir + "/l"); real != dir+"/c" {
		t.Errorf("realpath: %q %v", real, err)
	}
	if st, err := c.StatVFS(dir); err != nil || st.Bsize == 0 {
		t.Errorf("statvfs: %+v %v", st, err)
	}
	if home, err := c.Home(""); home != "/home" {
		t.Errorf("home: %q %v", home, err)
	}
}

// expectRefusals asks for what the other side does not do.
func expectRefusals(t *testing.T, c *Client, dir string) {
	t.Helper()
	if _, err := c.Stat(strings.Repeat("x", 2*maxQuestion), true); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("a path that is too long: %v", err)
	}
	if _, _, err := c.Open(dir, os.O_RDONLY, 0); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("expected that a directory is none that can be read, found %v", err)
	}
	if _, _, err := c.Open("/dev/null", os.O_RDONLY, 0); !errors.Is(err, syscall.EACCES) {
		t.Errorf("expected that a device is not passed on, found %v", err)
	}
}

// A directory of any size and with the longest names comes whole.
func TestDirectory(t *testing.T) {
	c, _, _ := connect(t)
	dir := t.TempDir()
	const many = 3000
	for i := range many {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%0250d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := c.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for {
		entries, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			seen[e.Name] = true
		}
	}
	if len(seen) != many+2 {
		t.Errorf("found %d entries", len(seen))
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// A front that asks nonsense loses its session; nothing else happens.
func FuzzServe(f *testing.F) {
	f.Add(fields.Message(opStat).Text("/").Bool(true).Bytes)
	f.Add([]byte{opNames, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Add([]byte{opNext, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, question []byte) {
		if len(question) == 0 || len(question) > maxQuestion {
			return
		}
		switch question[0] {
		case opStat, opReadlink, opRealPath, opStatVFS, opHome, opNames, opOpenDir, opNext, opCloseDir, opFSetStat, opPread, opPwrite,
			opKeptStat, opKeptStatVFS, opKeptSetStat, opTruncate, opSync, opCloseFile, 0, 99:
		default:
			return // what could change files
		}
		_, raw, served := connect(t)
		if err := raw.Send(question); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, seqpacket.MaxSize)
		_, fds, _ := raw.Receive(buffer)
		seqpacket.CloseAll(fds)
		raw.Close()
		<-served
	})
}

// A worker that answers nonsense cannot do more than end its session.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 2})
	f.Add([]byte{0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if len(answer) == 0 || len(answer) > seqpacket.MaxSize {
			return
		}
		for _, ask := range []func(c *Client) error{
			func(c *Client) error { _, err := c.Stat("/", true); return err },
			func(c *Client) error { _, err := (&dir{c, 1}).Next(); return err },
			func(c *Client) error { _, _, err := c.Names([]uint32{1}, nil); return err },
			func(c *Client) error { _, _, err := c.Open("/", 0, 0); return err },
			func(c *Client) error { _, err := (&kept{c, 1}).Pread(make([]byte, 9), 0); return err },
			func(c *Client) error { _, _, err := (&kept{c, 1}).Stat(); return err },
		} {
			ours, theirs, err := seqpacket.Pair()
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Sendmsg(int(theirs.Fd()), answer, nil, nil, 0); err != nil {
				t.Fatal(err)
			}
			c := NewClient(ours)
			err = ask(c)
			var errno syscall.Errno
			if err != nil && !errors.As(err, &errno) && err != io.EOF && c.broken == nil {
				t.Errorf("%x: %v, and the worker is still used", answer, err)
			}
			ours.Close()
			theirs.Close()
		}
	})
}
