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

// LinkKept is how long after its end a link is known, so that whoever opens it is told
// what became of it.
const LinkKept = 24 * time.Hour

// ForgetPast takes away the records of addresses from which nothing wrong has come for
// [SourceKept] before now, and those of links that ended [LinkKept] ago, also where
// nothing else knows of them: whoever made one may have been killed. A shared ledger
// forgets all these by itself. pause is called before each look. A record that cannot be
// read stays, and is denied by, as before.
func (f *Files) ForgetPast(ctx context.Context, now time.Time, pause func(context.Context) error) error {
	for kind, isPast := range map[Kind]func(Entry, time.Time) bool{Source: isPastSource, Link: arePastLinks, Invited: arePastLinks} {
		if err := f.forgetPast(ctx, kindDirs[kind], now, isPast, pause); err != nil {
			return err
		}
	}
	return nil
}

func (f *Files) forgetPast(ctx context.Context, kind string, now time.Time, isPast func(Entry, time.Time) bool, pause func(context.Context) error) error {
	dir, err := f.kindDir(kind)
	if errors.Is(err, errNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w", kind, err)
	}
	dir.Close()
	names, err := os.Open(filepath.Join(f.dir, kind))
	if err != nil {
		return fmt.Errorf("forget %s: %w", kind, err)
	}
	defer names.Close()
	for {
		some, err := names.Readdirnames(manyNames)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("forget %s: %w", kind, err)
		}
		for _, name := range some {
			if strings.HasPrefix(name, ".") {
				continue // one that is being made
			}
			if err := pause(ctx); err != nil {
				return err
			}
			where := location{kind: kind, name: name, path: filepath.Join(f.dir, kind, name)}
			if err := f.forgetOne(ctx, where, func(payload []byte) bool { return known(payload, now, isPast) }); err != nil {
				return fmt.Errorf("forget ledger entry %s: %w", where.path, err)
			}
		}
	}
}

// known says whether an entry is past. What is not known is not.
func known(payload []byte, now time.Time, isPast func(Entry, time.Time) bool) bool {
	entry, err := decodeEntry(payload)
	return err == nil && isPast(entry, now)
}

// forgetOne looks without the lock first: most records stay.
func (f *Files) forgetOne(ctx context.Context, where location, isPast func(payload []byte) bool) error {
	payload, err := f.read(ctx, where)
	if err == nil && !isPast(payload) || errors.Is(err, errNone) || errors.Is(err, ErrDamaged) {
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
	if !isPast(h.current.payload) {
		return nil
	}
	return h.forget()
}

// isPastSource says whether the entry of an address is as good as none.
func isPastSource(entry Entry, now time.Time) bool {
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

// arePastLinks says so of a link's entry, or of that of somebody's links.
func arePastLinks(entry Entry, now time.Time) bool {
	return !now.Before(entry.LastEnd().Add(LinkKept)) && !now.Before(entry.Sends.Last.Add(LinkKept))
}
