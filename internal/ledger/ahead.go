package ledger

import (
	"context"
	"sync"
)

// Ahead is what a [Store] may be in addition whose looks take long: it looks up several
// entries in the time of one.
type Ahead interface {
	// ViewAhead begins to look up the entries of keys, all at the same time. What it gives
	// waits for that of keys[i], and may be called any number of times, or never.
	ViewAhead(ctx context.Context, keys ...Key) (entry func(i int) (Entry, error))
}

// Views gives what looks up the entry of keys[i], once: ahead where the store can, else when
// it is first called for that.
func Views(ctx context.Context, store Store, keys ...Key) (entry func(i int) (Entry, error)) {
	if ahead, can := store.(Ahead); can {
		return ahead.ViewAhead(ctx, keys...)
	}
	views := make([]func() (Entry, error), len(keys))
	for i, key := range keys {
		views[i] = sync.OnceValues(func() (Entry, error) { return store.View(ctx, key) })
	}
	return func(i int) (Entry, error) { return views[i]() }
}
