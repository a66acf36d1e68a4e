package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// Files is a [Store] that keeps one file for each key below a directory. It
// holds nothing open between calls: whoever follows the path next, in this
// process or another, finds the same file, also if the disk it lives on was
// mounted meanwhile.
type Files struct {
	dir string
	// fault is called at each step of a write. Tests kill or fail there.
	fault func(step string) error
	// renameNew gives a new record its name, unless that is taken.
	renameNew func(dir *safefile.File, where location) error
	// own says that only what stays here is asked for, wherever the ledger is.
	own bool
	// moving is for the move itself: it uses what others may not use any more.
	moving bool
}

var _ Store = (*Files)(nil)

// OpenFiles gives the store in dir, an absolute path, which is made if only
// its last part is missing. The error is a [MovedError] if it counts no longer.
func OpenFiles(dir string) (*Files, error) {
	f, moved, err := openFiles(dir)
	if err == nil && moved {
		err = f.movedError()
	}
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", filepath.Clean(dir), err)
	}
	return f, nil
}

// OpenOwn gives of the store in dir what stays this machine's own, also where its ledger
// is elsewhere: what was used of break-glass codes, and where wrong ones came from. Other
// keys it refuses.
func OpenOwn(dir string) (*Files, error) {
	f, _, err := openFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("open ledger %s: %w", filepath.Clean(dir), err)
	}
	f.own = true
	return f, nil
}

// openFiles also says whether the ledger was moved, or is being.
func openFiles(dir string) (f *Files, moved bool, err error) {
	dir = filepath.Clean(dir)
	opened, err := safefile.OpenServiceDir(dir)
	if errors.Is(err, fs.ErrNotExist) && filepath.IsAbs(dir) {
		opened, err = makeDir(dir)
	}
	if err != nil {
		return nil, false, err
	}
	defer opened.Close()
	moved, err = isMovedFrom(opened, movedName)
	return &Files{dir: dir, fault: func(string) error { return nil }, renameNew: renameNew}, moved, err
}

// Close is there for the interface: nothing is held open.
func (f *Files) Close() error { return nil }

// location is where a key's record is.
type location struct {
	kind, name string
	path       string
}

func (f *Files) locate(key Key) (location, error) {
	if err := CheckKey(key); err != nil {
		return location{}, err
	}
	kind, name := kindDirs[key.Kind], fileName(key.Name)
	if f.own && !stays(kind) {
		return location{}, fmt.Errorf("ledger entry %s/%s: the ledger is elsewhere, only what is this machine's own is kept in %s", kind, name, f.dir)
	}
	return location{kind: kind, name: name, path: filepath.Join(f.dir, kind, name)}, nil
}

// View returns the entry of key. It takes no lock and waits for no write: an
// entry that is being written counts once it is on disk.
func (f *Files) View(ctx context.Context, key Key) (Entry, error) {
	where, err := f.locate(key)
	if err != nil {
		return Entry{}, err
	}
	payload, err := f.read(ctx, where)
	if errors.Is(err, errNone) {
		return Entry{}, nil
	}
	var entry Entry
	if err == nil {
		entry, err = decodeEntry(payload)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read ledger entry %s: %w", where.path, err)
	}
	return entry, nil
}

// Update changes the entry of key. See [Store].
func (f *Files) Update(ctx context.Context, key Key, change func(*Entry) error) error {
	where, err := f.locate(key)
	if err != nil {
		return err
	}
	var refused error
	err = f.update(ctx, where, func(entry *Entry) error {
		refused = change(entry)
		return refused
	})
	if refused != nil {
		return refused
	}
	if err != nil {
		return fmt.Errorf("update ledger entry %s: %w", where.path, err)
	}
	return nil
}

func (f *Files) update(ctx context.Context, where location, change func(*Entry) error) error {
	h, err := f.hold(ctx, where)
	if errors.Is(err, errNone) {
		// Nothing is made for a key that nothing is to be kept of.
		if _, changed, err := apply(nil, change); err != nil || !changed {
			return err
		}
		h, err = f.holdNew(ctx, where)
	}
	if err != nil {
		return err
	}
	defer h.release()
	payload, changed, err := apply(h.current.payload, change)
	if err != nil || !changed {
		return err
	}
	if err := h.store(ctx, payload); err != nil || len(payload) > 0 || !forgotten(where.kind) {
		return err
	}
	return h.forget()
}

// forgotten says of which kinds a record goes whose entry is the zero one. There is
// one for each link, and none of them is of use after its end.
func forgotten(kind string) bool { return kind == kindDirs[Link] || kind == kindDirs[Invited] }

// TryNew makes a record in dir, the store's directory, as the first login of a
// person does, and takes it away again. It does so too where the ledger was moved:
// then it is about what stays.
func TryNew(ctx context.Context, dir string) (err error) {
	f, _, err := openFiles(dir)
	if err != nil {
		return fmt.Errorf("open ledger %s: %w", dir, err)
	}
	f.moving = true
	// No key's file has a dot in front.
	name := fmt.Sprintf(".try-%d", os.Getpid())
	kind := kindDirs[User]
	where := location{kind: kind, name: name, path: filepath.Join(f.dir, kind, name)}
	h, err := f.holdNew(ctx, where)
	if err != nil {
		return fmt.Errorf("make a record: %w", err)
	}
	defer h.release()
	err = h.store(ctx, []byte("try"))
	return errors.Join(err, os.NewSyscallError("unlink", unix.Unlinkat(h.dir.Fd(), name, 0)))
}

// errNone says that a key has no record yet.
var errNone = errors.New("no entry")

// fileRules hold for every record. Entries tell who logs in, when, and hold
// hashes of codes.
var fileRules = safefile.Rules{Forbidden: 0o077, MaxSize: 2 * maxSlot}

// open opens the record for reading or for changing it.
func (f *Files) open(where location, flags int) (dir, file *safefile.File, err error) {
	dir, err = f.kindDir(where.kind)
	if err != nil {
		return nil, nil, err
	}
	file, err = safefile.OpenIn(dir, where.name, flags|unix.O_NOATIME, fileRules)
	if errors.Is(err, fs.ErrNotExist) {
		err = errNone
	}
	if err != nil {
		dir.Close()
		return nil, nil, err
	}
	return dir, file, nil
}

// readRecord reads a whole record file in one go; a short one is damaged.
func readRecord(file *safefile.File) (record, error) {
	// A record never changes its size under one name and inode, see grow.
	data := make([]byte, file.Seen().Size)
	if n, err := file.ReadAt(data, 0); err == io.EOF {
		data = data[:n]
	} else if err != nil {
		return record{}, err
	}
	return parseRecord(data)
}
