package clients

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/config"
)

// Table finds clients by their keys, in the files as they are now.
type Table struct {
	dir string
	now func() time.Time
	// load is Load.
	load func(dir, name string) (Client, error)

	mu     sync.Mutex
	files  map[string]file
	looked time.Time
}

// lookAgain is how old what Lists goes by may be: it is asked when many connect, and
// looking at all files for each of them would help those who hold others up.
const lookAgain = time.Second

// file is one that was read.
type file struct {
	seen    config.State
	settled bool
	client  Client
	err     error
}

// NewTable is for the files in dir. Nothing is read yet.
func NewTable(dir string) *Table {
	return &Table{dir: dir, now: time.Now, load: Load, files: map[string]file{}}
}

// Find returns the client whose key it is. The error wraps ErrUnknown if it is
// certain that it is nobody's. wrong are files that cannot be used, each reported
// once.
func (t *Table) Find(key config.KeyHash) (client Client, wrong []error, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wrong, err = t.look()
	if err != nil {
		return Client{}, wrong, err
	}
	for _, f := range t.files {
		for _, known := range f.client.Keys {
			if f.err != nil || known != key {
				continue
			}
			if client.Client != "" && client.Client != f.client.Client {
				return Client{}, wrong, fmt.Errorf("the key %s is in the files of %s and %s; take it out of one", key, min(client.Client, f.client.Client), max(client.Client, f.client.Client))
			}
			client = f.client
		}
	}
	if client.Client == "" {
		return Client{}, wrong, fmt.Errorf("%w: no file in %s has the key %s", ErrUnknown, t.dir, key)
	}
	return client, wrong, nil
}

// Lists says whether a client's file names the address in addresses, as it is now or
// was a moment ago. wrong is as for Find.
func (t *Table) Lists(addr netip.Addr) (listed bool, wrong []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if since := t.now().Sub(t.looked); since < 0 || since >= lookAgain {
		var err error
		if wrong, err = t.look(); err != nil {
			return false, append(wrong, err)
		}
	}
	for _, f := range t.files {
		if f.err == nil && f.client.Addresses != nil && f.client.MayComeFrom(addr) {
			return true, wrong
		}
	}
	return false, wrong
}

// look reads what has changed since the last look.
func (t *Table) look() (wrong []error, err error) {
	found, err := names(t.dir)
	if err != nil {
		return nil, err
	}
	files := make(map[string]file, len(found))
	for _, name := range found {
		old, known := t.files[name]
		state, err := config.StateOf(Path(t.dir, name))
		if known && err == nil && old.settled && old.seen == state {
			files[name] = old
			continue
		}
		now := file{seen: state}
		now.client, now.err = t.load(t.dir, name)
		// An error may be over though the file is the same.
		now.settled = err == nil && now.err == nil && state.Settled(t.now())
		if now.err != nil && (!known || old.err == nil || old.err.Error() != now.err.Error()) {
			wrong = append(wrong, now.err)
		}
		files[name] = now
	}
	t.files, t.looked = files, t.now()
	return wrong, nil
}
