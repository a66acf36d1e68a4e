package ledger

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// read gives the payload of the newest entry that is on disk.
//
// It works without the file's lock. What it reads may be half overwritten, so
// it only trusts a pair of whole slots whose sequence numbers follow each
// other: then the newer was the newest at some time since read began. If
// nobody is writing that slot any more, it is on disk. If somebody is, and it
// is still the newest, then its Update has not returned, and the entry before
// it is the one that counts.
func (f *Files) read(ctx context.Context, where place) ([]byte, error) {
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
		if err == nil && again.previous != nil && again.current.sequence == rec.current.sequence {
			return again.previous.payload, nil
		}
	}
	return nil, ctx.Err()
}

// readLocked is for the file that makes no sense without a lock: because it
// was read while two writes went by, or because a crash or worse damaged it.
func readLocked(ctx context.Context, file *os.File) ([]byte, error) {
	if err := lockFile(ctx, file, unix.LOCK_SH); err != nil {
		return nil, err
	}
	defer unix.Flock(int(file.Fd()), unix.LOCK_UN)
	rec, err := readRecord(file)
	if err != nil {
		return nil, err
	}
	return rec.current.payload, nil
}
