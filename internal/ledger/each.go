package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Walker is a Store whose entries can all be looked at.
type Walker interface {
	// Each calls do for each entry, with its name in the store, and what is wrong with
	// it if that is not one. It ends with the first error of do, or if the entries cannot
	// be listed. What is made meanwhile may be missed.
	Each(ctx context.Context, do func(name string, err error) error) error
}

var _ Walker = (*Files)(nil)

// Each implements [Walker].
func (f *Files) Each(ctx context.Context, do func(name string, err error) error) error {
	for _, kind := range slices.Sorted(maps.Values(kindDirs)) {
		if err := f.eachOf(ctx, kind, do); err != nil {
			return err
		}
	}
	return nil
}

func (f *Files) eachOf(ctx context.Context, kind string, do func(name string, err error) error) error {
	dir, err := f.kindDir(kind)
	if errors.Is(err, errNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("go through the ledger: %w", err)
	}
	dir.Close()
	entries, err := os.ReadDir(filepath.Join(f.dir, kind))
	if err != nil {
		return fmt.Errorf("go through the ledger: %w", err)
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".") {
			continue // one that is being made
		}
		payload, err := f.read(ctx, location{kind: kind, name: entry.Name(), path: filepath.Join(f.dir, kind, entry.Name())})
		if errors.Is(err, errNone) {
			continue // it was taken away meanwhile
		}
		if err == nil {
			_, err = decodeEntry(payload)
		}
		if err := do(kind+"/"+entry.Name(), err); err != nil {
			return err
		}
	}
	return nil
}

// KnownID is the ledger's id, "" as long as none was drawn.
func (f *Files) KnownID(ctx context.Context) (string, error) {
	if _, err := os.Lstat(filepath.Join(f.dir, idName)); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return f.ID(ctx)
}
