package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// held is a record whose lock is ours.
type held struct {
	record
	files *Files
	where location
	dir   *safefile.File
	file  *safefile.File
}

// hold opens and locks the record, waiting for whoever has it.
func (f *Files) hold(ctx context.Context, where location) (*held, error) {
	for {
		dir, file, err := f.open(where, unix.O_RDWR)
		if err != nil {
			return nil, err
		}
		h := &held{files: f, where: where, dir: dir, file: file}
		if err := lockFile(ctx, file, unix.LOCK_EX); err != nil {
			h.release()
			return nil, err
		}
		there, err := isAt(dir, where.name, file)
		if err == nil && there {
			err = f.checkHere(where.kind, dir)
		}
		if err == nil && there {
			h.record, err = readRecord(file)
		}
		if err == nil && there {
			return h, nil
		}
		h.release()
		if err != nil {
			return nil, err
		}
	}
}

// release lets the next one in. The lock is given back by name, see
// setSlotLock for why closing is not enough.
func (h *held) release() {
	unix.Flock(h.file.Fd(), unix.LOCK_UN)
	h.file.Close()
	h.dir.Close()
}

// store makes payload the record's newest entry.
func (h *held) store(ctx context.Context, payload []byte) error {
	if headerSize+len(payload) > int(h.slotSize) {
		if err := h.grow(ctx, len(payload)); err != nil {
			return err
		}
	}
	// Whoever made or replaced this file may have died before its name was on
	// disk. An entry in a file that vanishes would be worth nothing.
	if !h.current.named {
		if err := syncUpwards(h.dir); err != nil {
			return err
		}
		if err := h.files.fault("directories synced"); err != nil {
			return err
		}
	}
	return h.write(slot{sequence: h.current.sequence + 1, named: true, payload: payload})
}

// forget takes the record away, whose entry must be the zero one on disk, or as good as
// that: so it is the same whether a crash takes that back. Whoever waits for the lock finds the name gone
// and makes the record anew.
func (h *held) forget() error {
	if err := h.files.fault("emptied"); err != nil {
		return err
	}
	if err := unix.Unlinkat(h.dir.Fd(), h.where.name, 0); err != nil {
		return &os.PathError{Op: "remove", Path: h.where.path, Err: err}
	}
	return nil
}

// write puts next on disk beside the current entry. When it fails, the
// current entry stays the newest.
func (h *held) write(next slot) (err error) {
	offset := h.offset(next.sequence)
	if err := setSlotLock(h.file, unix.F_WRLCK, offset, h.slotSize); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, setSlotLock(h.file, unix.F_UNLCK, offset, h.slotSize))
	}()
	if err := h.files.fault("slot locked"); err != nil {
		return err
	}
	if err = writeThrough(h.file, next.encode(), offset); err == nil {
		err = h.files.fault("slot written")
	}
	if err != nil {
		// The kernel may show what the disk did not take. Were that to pass
		// for the current entry, the next write would overwrite the last one
		// that is on disk.
		return errors.Join(err, writeThrough(h.file, make([]byte, headerSize), offset))
	}
	return nil
}

// writeThrough returns once data is on disk. It is one system call, not a
// write and a sync: a process that is killed between those two leaves an entry
// that everybody sees and a power cut takes back.
func writeThrough(file *safefile.File, data []byte, offset int64) error {
	err := writeOnce(file, data, func(part []byte) (int, error) {
		return unix.Pwritev2(file.Fd(), [][]byte{part}, offset, unix.RWF_DSYNC)
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return writeReopened(file, data, offset)
	}
	return err
}

// writeReopened is for kernels before 4.7 and for what stands in for a kernel,
// as QEMU does: one system call too, on the file opened once more. The
// locks are of the first opening, and stay.
func writeReopened(file *safefile.File, data []byte, offset int64) error {
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), unix.O_WRONLY|unix.O_DSYNC|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open again", Path: file.Name(), Err: err}
	}
	err = writeOnce(file, data, func(part []byte) (int, error) { return unix.Pwrite(fd, part, offset) })
	return errors.Join(err, unix.Close(fd))
}

func writeOnce(file *safefile.File, data []byte, write func(data []byte) (int, error)) error {
	for {
		n, err := write(data)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n < len(data) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &os.PathError{Op: "write", Path: file.Name(), Err: err}
		}
		return nil
	}
}
