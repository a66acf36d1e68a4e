package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SourceKept is how long the wrong codes from an address are known after the last one.
// No lock is longer than a day, and within another one the next lock is longer. Whoever
// has many addresses would otherwise leave an entry of each for ever.
const SourceKept = 48 * time.Hour

// manyNames is how many names of a directory are in memory at once.
const manyNames = 1024

// ForgetSources takes away the records of addresses from which nothing wrong has come
// for [SourceKept] before now. A shared ledger forgets those by itself. pause is called
// before each look. A record that cannot be read stays, and is denied by, as before.
func (f *Files) ForgetSources(ctx context.Context, now time.Time, pause func(context.Context) error) error {
	kind := kindDirs[Source]
	dir, err := f.kindDir(kind)
	if errors.Is(err, errNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forget addresses: %w", err)
	}
	dir.Close()
	names, err := os.Open(filepath.Join(f.dir, kind))
	if err != nil {
		return fmt.Errorf("forget addresses: %w", err)
	}
	defer names.Close()
	for {
		some, err := names.Readdirnames(manyNames)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("forget addresses: %w", err)
		}
		for _, name := range some {
			if strings.HasPrefix(name, ".") {
				continue // one that is being made
			}
			if err := pause(ctx); err != nil {
				return err
			}
			where := place{kind: kind, name: name, path: filepath.Join(f.dir, kind, name)}
			if err := f.forgetSource(ctx, where, now); err != nil {
				return fmt.Errorf("forget ledger entry %s: %w", where.path, err)
			}
		}
	}
}

// forgetSource looks without the lock first: most records stay.
func (f *Files) forgetSource(ctx context.Context, where place, now time.Time) error {
	payload, err := f.read(ctx, where)
	if err == nil && !isPast(payload, now) || errors.Is(err, errNone) || errors.Is(err, ErrDamaged) {
		return nil
	}
	if err != nil {
		return err
	}
	h, err := f.hold(ctx, where)
	if errors.Is(err, errNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.release()
	if !isPast(h.current.payload, now) {
		return nil
	}
	return h.forget()
}

// isPast says whether an entry of an address is as good as none. What is not known stays.
func isPast(payload []byte, now time.Time) bool {
	entry, err := decodeEntry(payload)
	if err != nil {
		return false
	}
	all := []Attempts{entry.Attempts}
	for _, peer := range entry.Peers {
		all = append(all, peer.Attempts)
	}
	for _, attempts := range all {
		if now.Before(attempts.LastWrong.Add(SourceKept)) || now.Before(attempts.LockedUntil) {
			return false
		}
	}
	return true
}
