package workerfiles

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/local"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// own is a file that no descriptor is passed of, as one of FUSE.
type own struct{ sftp.Descriptor }

type ownFiles struct{ *local.Files }

func (f ownFiles) Open(path string, flags int, mode uint32) (sftp.File, string, error) {
	file, real, err := f.Files.Open(path, flags, mode)
	if err != nil {
		return nil, "", err
	}
	return own{file.(sftp.Descriptor)}, real, nil
}

func (f ownFiles) FSetStat(file sftp.File, change sftp.Change) error {
	return f.Files.FSetStat(file.(own).Descriptor, change)
}

func connectOwn(t *testing.T) (*Client, *seqpacket.Conn, chan error) {
	return connectTo(t, func(files *local.Files) sftp.Files { return ownFiles{files} })
}

// A file that the worker keeps can do all that a descriptor can.
func TestKept(t *testing.T) {
	c, raw, served := connectOwn(t)
	dir := t.TempDir()
	file, real, err := c.Open(dir+"/file", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil || real != dir+"/file" {
		t.Fatalf("open: %q %v", real, err)
	}
	if _, found := file.(*kept); !found {
		t.Fatalf("expected a kept file, found %T", file)
	}
	data := make([]byte, 3*maxChunk+17)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	if n, err := file.Pwrite(data, 5); n != len(data) || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	got := make([]byte, len(data)+maxChunk)
	if n, err := file.Pread(got, 5); n != len(data) || err != nil || !bytes.Equal(got[:n], data) {
		t.Errorf("read %d of %d, %v", n, len(data), err)
	}
	for _, empty := range []int64{int64(len(data)) + 5, 1 << 40} {
		if n, err := file.Pread(got, empty); n != 0 || err != nil {
			t.Errorf("at %d: read %d, %v", empty, n, err)
		}
	}
	if n, err := file.Pread(nil, 0); n != 0 || err != nil {
		t.Errorf("nothing: read %d, %v", n, err)
	}
	if _, err := file.Pread(got, -1); !errors.Is(err, unix.EINVAL) {
		t.Errorf("before the beginning: %v", err)
	}
	keptAttributes(t, c, file, dir+"/file")
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if _, err := file.Pread(got, 0); err == nil {
		t.Error("a closed file was read")
	}
	// The worker has hung up on a client that asks for what it has not.
	raw.Close()
	if err := <-served; !errors.Is(err, fields.ErrMalformed) {
		t.Errorf("served: %v", err)
	}
}

// keptAttributes changes a file's attributes, and looks at them by it and by a
// second file that is opened on the same path.
func keptAttributes(t *testing.T, c *Client, file sftp.File, path string) {
	t.Helper()
	if err := errors.Join(file.Truncate(7), file.Sync(), c.FSetStat(file, sftp.Change{HasMode: true, Mode: 0o640})); err != nil {
		t.Error(err)
	}
	attr, id, err := file.Stat()
	if err != nil || attr.Size != 7 || attr.Mode&0o7777 != 0o640 {
		t.Errorf("stat: %+v %v", attr, err)
	}
	second, _, err := c.Open(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, other, err := second.Stat(); other != id || id == (sftp.FileID{}) || err != nil {
		t.Errorf("one file is %v and %v, %v", id, other, err)
	}
	if _, err := second.Pwrite([]byte("x"), 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("write to what is read: %v", err)
	}
	if st, err := file.StatVFS(); err != nil || st.Bsize == 0 {
		t.Errorf("statvfs: %+v %v", st, err)
	}
}

// A session has no more than so many, and none is left behind it.
func TestKeptAreBounded(t *testing.T) {
	before := openFiles(t)
	c, raw, served := connectOwn(t)
	path := filepath.Join(t.TempDir(), "file")
	for range maxKept {
		if _, _, err := c.Open(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	full := openFiles(t)
	if _, _, err := c.Open(path, os.O_RDONLY, 0); !errors.Is(err, syscall.EMFILE) || openFiles(t) != full {
		t.Errorf("one more: %v, %d descriptors, before %d", err, openFiles(t), full)
	}
	raw.Close()
	<-served
	if after := openFiles(t); after > before+2 {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
