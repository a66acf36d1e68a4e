package ledger

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// A record file comes to its name in one step, whole and on disk, holding what
// was known before: nothing for a new key, the current entry for one that
// needs larger slots. Only then is the new entry written, as always.
//
// It is made under a second name that belongs to the key, and whoever makes it
// holds its lock. So what a killed process leaves behind is used again.

// temporaryName is the one a record is made under; no key's file has a dot
// in front.
func (w location) temporaryName() string { return ".new-" + w.name }

// errRaced says that somebody else made the record meanwhile.
var errRaced = errors.New("made by somebody else")

// holdNew makes the record of a key that has none, and holds it. If somebody
// else is quicker it holds theirs.
func (f *Files) holdNew(ctx context.Context, where location) (*held, error) {
	for {
		h, err := f.create(ctx, where)
		if !errors.Is(err, errRaced) {
			return h, err
		}
		h, err = f.hold(ctx, where)
		if !errors.Is(err, errNone) {
			return h, err
		}
	}
}

func (f *Files) create(ctx context.Context, where location) (*held, error) {
	dir, err := f.makeKindDir(where.kind)
	if err != nil {
		return nil, err
	}
	h := &held{files: f, where: where, dir: dir, record: record{
		slotSize: minSlot,
		current:  slot{sequence: 1},
	}}
	if h.file, err = h.prepare(ctx); err != nil {
		dir.Close()
		return nil, err
	}
	// Anything else than this flag would replace the record of somebody who
	// was quicker, with what they stored in it.
	err = f.renameNew(dir, where)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		err = renameAbsent(dir, where)
	}
	if err != nil {
		err = h.abandon(h.file, "create", err)
		dir.Close()
		if errors.Is(err, unix.EEXIST) {
			err = errRaced
		}
		return nil, err
	}
	if err := f.fault("renamed"); err != nil {
		h.release()
		return nil, err
	}
	// Whoever moves the ledger says so first, and then looks which records there are. So
	// either this one is seen there, or that is seen here.
	if err := f.checkHere(where.kind, dir); err != nil {
		err = errors.Join(err, os.NewSyscallError("unlink", unix.Unlinkat(dir.Fd(), where.name, 0)))
		h.release()
		return nil, err
	}
	return h, nil
}

func renameNew(dir *safefile.File, where location) error {
	return unix.Renameat2(dir.Fd(), where.temporaryName(), dir.Fd(), where.name, unix.RENAME_NOREPLACE)
}

// renameAbsent is for file systems without that flag: FUSE, NFS, ZFS before 2.2.
// Whoever makes a record holds the lock of the temporary file, under its name, so
// nobody else can make one between the look and the rename. A second name that
// loses the first would do without, but FUSE remembers for a second that there
// were two, and a record with two is refused.
func renameAbsent(dir *safefile.File, where location) error {
	var there unix.Stat_t
	switch err := unix.Fstatat(dir.Fd(), where.name, &there, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return unix.EEXIST
	case unix.ENOENT:
		return unix.Renameat(dir.Fd(), where.temporaryName(), dir.Fd(), where.name)
	default:
		return err
	}
}

// grow replaces the file by one whose slots hold a payload of that length. The
// lock goes over to the new file.
func (h *held) grow(ctx context.Context, payload int) error {
	size, err := slotSizeFor(payload)
	if err != nil {
		return err
	}
	larger := *h
	larger.slotSize = size
	larger.current.named = false
	for {
		larger.file, err = larger.prepare(ctx)
		if !errors.Is(err, errRaced) {
			break
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Renameat(h.dir.Fd(), h.where.temporaryName(), h.dir.Fd(), h.where.name); err != nil {
		return h.abandon(larger.file, "replace", err)
	}
	unix.Flock(h.file.Fd(), unix.LOCK_UN)
	h.file.Close()
	*h = larger
	return h.files.fault("renamed")
}

// prepare gives a file, locked and on disk, under the temporary name, with the
// current entry in both slots.
func (h *held) prepare(ctx context.Context) (*safefile.File, error) {
	file, err := h.openTemporary(ctx)
	if err != nil {
		return nil, err
	}
	steps := []struct {
		name string
		do   func() error
	}{
		{"temporary opened", func() error { return file.Truncate(2 * h.slotSize) }},
		{"temporary sized", func() error {
			_, err := file.WriteAt(newFile(h.current.sequence, h.current.payload, h.slotSize), 0)
			return err
		}},
		{"temporary written", file.Sync},
		{"temporary synced", func() error { return nil }},
	}
	for _, step := range steps {
		err := h.files.fault(step.name)
		if err == nil {
			err = step.do()
		}
		if err != nil {
			return nil, h.abandon(file, "create", err)
		}
	}
	return file, nil
}

// openTemporary opens or makes the temporary file and locks it. It is raced if
// the file got another name or none while its lock was waited for.
func (h *held) openTemporary(ctx context.Context) (*safefile.File, error) {
	name := h.where.temporaryName()
	file, err := safefile.CreateIn(h.dir, name)
	if errors.Is(err, unix.EEXIST) {
		file, err = safefile.OpenIn(h.dir, name, unix.O_RDWR, fileRules)
		if errors.Is(err, unix.ENOENT) {
			return nil, errRaced
		}
	}
	if err != nil {
		return nil, err
	}
	err = lockFile(ctx, file, unix.LOCK_EX)
	if err == nil {
		var there bool
		if there, err = isAt(h.dir, name, file); err == nil && !there {
			err = errRaced
		}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// abandon gives up a temporary file whose lock is ours and takes it away, so
// that it does not hold space on a disk that may be full.
func (h *held) abandon(file *safefile.File, operation string, err error) error {
	if _, isPath := errors.AsType[*os.PathError](err); !isPath {
		err = &os.PathError{Op: operation, Path: h.where.path, Err: err}
	}
	name := h.where.temporaryName()
	if gone := unix.Unlinkat(h.dir.Fd(), name, 0); gone != nil {
		err = errors.Join(err, &os.PathError{Op: "remove", Path: file.Name(), Err: gone})
	}
	file.Close()
	return err
}
