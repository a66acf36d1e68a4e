package local

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/deny"
)

// pageBuffer holds the entries of one page as getdents64(2) gives them; a
// thousand with usual names.
const pageBuffer = 32 << 10

// dir is an open directory.
type dir struct {
	fd   int
	real string // ends in a slash; where something is denied
	deny deny.Patterns
	buf  []byte
}

// OpenDir opens a directory to be listed. Denied names are not in the list.
func (f *Files) OpenDir(path string) (sftp.Dir, error) {
	at, err := f.resolve(path, true)
	if err != nil {
		return nil, err
	}
	defer at.release()
	fd, err := openat(at, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &dir{fd: fd, real: strings.TrimSuffix(at.real, "/") + "/", deny: f.options.Deny}, nil
}

// Next is the entries of one getdents64 with their attributes. One that is
// gone meanwhile is left out.
func (d *dir) Next() ([]sftp.Entry, error) {
	if d.buf == nil {
		d.buf = make([]byte, pageBuffer)
	}
	for {
		n, err := unix.Getdents(d.fd, d.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n <= 0:
			return nil, io.EOF
		}
		if entries := d.entries(d.buf[:n]); len(entries) > 0 {
			return entries, nil
		}
	}
}

// entries reads records of getdents64(2): inode and offset of eight bytes, the
// length of the record of two, the type of one, the name and a NUL.
func (d *dir) entries(b []byte) []sftp.Entry {
	const lengthAt, nameAt = 16, 19
	entries := make([]sftp.Entry, 0, len(b)/32)
	for len(b) > nameAt {
		length := int(binary.NativeEndian.Uint16(b[lengthAt:]))
		if length <= nameAt || length > len(b) {
			break
		}
		name, _, _ := bytes.Cut(b[nameAt:length], []byte{0})
		b = b[length:]
		entry := sftp.Entry{Name: string(name)}
		if !d.deny.Empty() && entry.Name != "." && entry.Name != ".." && d.deny.Match(d.real+entry.Name) {
			continue
		}
		var st unix.Stat_t
		err := unix.Fstatat(d.fd, entry.Name, &st, unix.AT_SYMLINK_NOFOLLOW)
		for err == unix.EINTR {
			err = unix.Fstatat(d.fd, entry.Name, &st, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil {
			continue
		}
		entry.Attr = sftp.AttrOf(&st)
		entries = append(entries, entry)
	}
	return entries
}

// Close closes the directory.
func (d *dir) Close() error { return unix.Close(d.fd) }
