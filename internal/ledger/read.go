package ledger

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// read gives the payload of the newest entry that is on disk.
//
// It works without the file's lock, so what it reads may be half overwritten.
// It trusts only two whole slots whose numbers follow each other: the newer
// one was then the newest at some time since read began. If nobody is writing
// that slot any more, it is on disk.
//
// If somebody is, either it is what they are writing, and the slot beside it
// still counts, or later entries have come since. Looking again tells: the
// older of the two slots is then on disk, and was the newest at some time
// since the first look.
func (f *Files) read(ctx context.Context, where location) ([]byte, error) {
	dir, file, err := f.open(where, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	defer file.Close()
	for ctx.Err() == nil {
		rec, err := readRecord(file)
		if err != nil || rec.previous == nil {
			return readLocked(ctx, file)
		}
		busy, err := slotBusy(file, rec.offset(rec.current.sequence), rec.slotSize)
		if err != nil {
			return nil, err
		}
		if !busy {
			return rec.current.payload, nil
		}
		again, err := readRecord(file)
		if err == nil && again.previous != nil {
			return again.previous.payload, nil
		}
	}
	return nil, ctx.Err()
}

// readLocked is for the file that makes no sense without a lock: because it
// was read while two writes went by, or because a crash or worse damaged it.
func readLocked(ctx context.Context, file *safefile.File) ([]byte, error) {
	if err := lockFile(ctx, file, unix.LOCK_SH); err != nil {
		return nil, err
	}
	defer unix.Flock(file.Fd(), unix.LOCK_UN)
	rec, err := readRecord(file)
	if err != nil {
		return nil, err
	}
	return rec.current.payload, nil
}
