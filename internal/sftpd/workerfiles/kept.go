package workerfiles

import (
	"errors"
	"syscall"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
)

// kept is a file that the worker has open.
type kept struct {
	client *Client
	id     uint32
}

var _ sftp.File = (*kept)(nil)

// Pread implements sftp.File, by as many questions as it takes. What was read
// before an error is told, and the error when it comes again.
func (k *kept) Pread(b []byte, offset int64) (read int, err error) {
	for {
		part := b[read:min(len(b), read+maxChunk)]
		n := 0
		err := k.client.ask(opPread, func(w *fields.Writer) { w.U32(k.id).U64(uint64(offset) + uint64(read)).U32(uint32(len(part))) },
			func(r *fields.Reader) { n = copy(part, r.Blob()) })
		read += n
		switch {
		case err != nil && read > 0 && errors.As(err, new(syscall.Errno)):
			return read, nil
		case err != nil:
			return read, err
		case n < len(part) || read == len(b):
			return read, nil
		}
	}
}

// Pwrite implements sftp.File.
func (k *kept) Pwrite(b []byte, offset int64) (written int, err error) {
	for {
		part := b[written:min(len(b), written+maxChunk)]
		err := k.client.ask(opPwrite, func(w *fields.Writer) { w.U32(k.id).U64(uint64(offset) + uint64(written)).Blob(part) }, nothing)
		if err != nil {
			return written, err
		}
		written += len(part)
		if written == len(b) {
			return written, nil
		}
	}
}

// Stat implements sftp.File.
func (k *kept) Stat() (attr sftp.Attr, id sftp.FileID, err error) {
	err = k.client.ask(opKeptStat, k.name, func(r *fields.Reader) { attr, id = getFileStat(r) })
	return attr, id, err
}

// StatVFS implements sftp.File.
func (k *kept) StatVFS() (st sftp.StatVFS, err error) {
	err = k.client.ask(opKeptStatVFS, k.name, func(r *fields.Reader) { st = getStatVFS(r) })
	return st, err
}

// Truncate implements sftp.File.
func (k *kept) Truncate(size uint64) error {
	return k.client.ask(opTruncate, func(w *fields.Writer) { w.U32(k.id).U64(size) }, nothing)
}

// Sync implements sftp.File.
func (k *kept) Sync() error { return k.client.ask(opSync, k.name, nothing) }

// Close implements sftp.File.
func (k *kept) Close() error { return k.client.ask(opCloseFile, k.name, nothing) }

func (k *kept) name(w *fields.Writer) { w.U32(k.id) }
