package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/safefile"
)

// Move is a ledger in files whose entries go to another ledger. One process at a time has
// it. It promises that an entry counts in one ledger at most: [Move.Begin] ends that any
// counts here, before the first is copied, and only [Move.Undo] begins it again.
type Move struct {
	files  *Files
	root   *safefile.File
	unlock func()
	moved  Moved
	begun  bool
	id     string
	nonce  string
}

// OpenMove opens the ledger in dir for a move, and makes an empty one if there is none.
// Nothing is changed yet, but that it has an id. Whoever moves it at the same time is
// waited for, for some seconds.
func OpenMove(ctx context.Context, dir string) (*Move, error) {
	files, _, err := openFiles(dir)
	m := &Move{files: files}
	if err == nil {
		files.moving = true
		err = m.open(ctx)
	}
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("move the ledger in %s: %w", filepath.Clean(dir), err)
	}
	return m, nil
}

func (m *Move) open(ctx context.Context) (err error) {
	if m.root, err = safefile.OpenServiceDir(m.files.dir); err != nil {
		return err
	}
	// Drawing the id takes the lock too.
	if m.id, err = m.files.ID(ctx); err != nil {
		return err
	}
	if m.unlock, err = safefile.LockDir(m.root); err != nil {
		return err
	}
	if m.nonce, err = readNonce(m.root); err != nil {
		return err
	}
	if m.moved, m.begun, err = readMoved(m.root); m.begun {
		m.id = m.moved.From
	}
	return err
}

// Close lets others move it.
func (m *Move) Close() {
	if m.unlock != nil {
		m.unlock()
	}
	if m.root != nil {
		m.root.Close()
	}
	m.unlock, m.root = nil, nil
}

// ID is the ledger's own id.
func (m *Move) ID() string { return m.id }

// Origin tells what was taken from this ledger from what was taken from any other, also
// from a copy of it that was made before a move was first begun.
func (m *Move) Origin() string { return m.id + " " + m.nonce }

// State says where the ledger is being moved to, or was; begun is false if it is not.
func (m *Move) State() (moved Moved, begun bool) { return m.moved, m.begun }

// Begin ends that the entries count here.
func (m *Move) Begin(to Moved) error {
	to.From, to.Done = m.id, false
	to.Begun = to.Begun.UTC().Truncate(time.Second)
	if err := safefile.Replace(m.root, nonceName, []byte(m.nonce), 0o600); err != nil {
		return err
	}
	return m.write(to)
}

// nonceName is the file of what is drawn when a move is first begun. It stays when the
// move is taken back: by it what was copied then is known the next time.
const nonceName = "move-nonce"

const nonceBytes = 16

// readNonce reads it, or draws it where no move was ever begun.
func readNonce(dir *safefile.File) (string, error) {
	data, err := safefile.ReadIn(dir, nonceName, fileRules)
	if errors.Is(err, fs.ErrNotExist) {
		raw := make([]byte, nonceBytes)
		_, _ = rand.Read(raw) // never fails, see its documentation
		return hex.EncodeToString(raw), nil
	}
	if err != nil {
		return "", err
	}
	raw, err := hex.DecodeString(string(data))
	if err != nil || len(raw) != nonceBytes {
		return "", fmt.Errorf("%s/%s: expected %d digits of base 16 and nothing else; have it back from a copy", dir.Name(), nonceName, 2*nonceBytes)
	}
	return string(data), nil
}

// Finish says that all of them are where they were to go.
func (m *Move) Finish() error {
	if !m.begun {
		return errors.New("finish a move: none was begun")
	}
	done := m.moved
	done.Done = true
	return m.write(done)
}

func (m *Move) write(moved Moved) error {
	if _, err := parseMoved(moved.text()); err != nil {
		return fmt.Errorf("%q cannot be kept in the file %s: %w", moved.text(), movedName, err)
	}
	if err := safefile.Replace(m.root, movedName, []byte(moved.text()), 0o600); err != nil {
		return err
	}
	m.moved, m.begun = moved, true
	return nil
}

// Record is the file of an entry.
type Record struct {
	kind Kind
	file string
	path string
}

// RecordName is the place of a key's record below the ledger's directory.
func RecordName(key Key) string { return kindDirs[key.Kind] + "/" + fileName(key.Name) }

// Stays says whether the record counts here also after the move.
func (r Record) Stays() bool { return stays(kindDirs[r.kind]) }

// String is the record's place below the ledger's directory.
func (r Record) String() string { return kindDirs[r.kind] + "/" + r.file }

// Key is the key whose entry it is. A name that is too long for a file is in no file:
// known gives those that there may be.
func (r Record) Key(known func() ([]string, error)) (Key, error) {
	name, err := "", error(nil)
	if strings.HasPrefix(r.file, "~") {
		names, unread := known()
		if unread != nil {
			return Key{}, unread
		}
		at := slices.IndexFunc(names, func(name string) bool { return fileName(name) == r.file })
		if at < 0 {
			return Key{}, errors.New("the name is too long for a file, and nobody known has it; take the file away if nobody has any more")
		}
		name = names[at]
	} else if name, err = unescape(r.file); err != nil || fileName(name) != r.file {
		return Key{}, errors.New("no key's file; take it away")
	}
	key := Key{Kind: r.kind, Name: name}
	return key, CheckKey(key)
}

// unescape undoes fileName, but for names that are too long.
func unescape(file string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(file); i++ {
		if file[i] != '%' {
			b.WriteByte(file[i])
			continue
		}
		if i+2 >= len(file) {
			return "", errors.New("ends within a byte")
		}
		c, err := hex.DecodeString(file[i+1 : i+3])
		if err != nil {
			return "", err
		}
		b.WriteByte(c[0])
		i += 2
	}
	return b.String(), nil
}

func (r Record) where() location { return location{kind: kindDirs[r.kind], name: r.file, path: r.path} }

// Records lists those that are to be moved: all but what was used of break-glass codes.
func (m *Move) Records() (all []Record, err error) {
	for _, kind := range append(slices.Clone(movedKinds), Source) {
		path := filepath.Join(m.files.dir, kindDirs[kind])
		dir, err := m.files.kindDir(kindDirs[kind])
		if errors.Is(err, errNone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		dir.Close()
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), ".") {
				all = append(all, Record{kind, entry.Name(), filepath.Join(path, entry.Name())})
			}
		}
	}
	return all, nil
}

// Read gives the encoded entry of a record, and whether it was moved already. The error
// says what is wrong with one that cannot be used.
func (m *Move) Read(ctx context.Context, r Record) (payload []byte, moved bool, err error) {
	payload, err = m.files.read(ctx, r.where())
	if errors.Is(err, errNone) {
		return nil, true, nil // it was taken away meanwhile
	}
	if err != nil {
		return nil, false, err
	}
	payload, moved = withoutMoved(payload)
	if !moved {
		if _, err = decodeEntry(payload); err == nil {
			_, err = slotSizeFor(len(payload) + len(movedField))
		}
	}
	return payload, moved, err
}

// Take has the entry of a record copied, unless it was before. Nobody can change it
// meanwhile, and afterwards it does not count here, but for one that stays.
func (m *Move) Take(ctx context.Context, r Record, copied func(payload []byte) error) error {
	if !m.begun || m.moved.Done {
		return errors.New("take an entry: no move is under way")
	}
	h, err := m.files.hold(ctx, r.where())
	if errors.Is(err, errNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.release()
	payload, already := withoutMoved(h.current.payload)
	if already {
		return nil
	}
	if err := copied(payload); err != nil || stays(kindDirs[r.kind]) {
		return err
	}
	return h.store(ctx, append(slices.Clone(payload), movedField...))
}

// Undo has the entries count here again. It is for a move that is not done, as until then
// nothing has counted at the other place. do is called for each record, with what is
// wrong with one that cannot be used and so stays as it is.
func (m *Move) Undo(ctx context.Context, do func(r Record, err error)) error {
	if !m.begun || m.moved.Done {
		return errors.New("undo a move: none is under way")
	}
	all, err := m.Records()
	if err != nil {
		return err
	}
	for _, r := range all {
		err := m.undo(ctx, r)
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, safefile.ErrUnsafe) {
			return fmt.Errorf("%s: %w", r.path, err)
		}
		do(r, err)
	}
	// What is left of the file is looked for by whoever uses an entry, so it goes last.
	if err := safefile.Remove(m.root, movedName); err != nil {
		return err
	}
	m.moved, m.begun = Moved{}, false
	return nil
}

func (m *Move) undo(ctx context.Context, r Record) error {
	h, err := m.files.hold(ctx, r.where())
	if errors.Is(err, errNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.release()
	if payload, moved := withoutMoved(h.current.payload); moved {
		return h.store(ctx, payload)
	}
	return nil
}

// tagMoved has nothing, and comes last. Entries without it have the tags in entry.go, which
// are counted from the other end.
const tagMoved = 255

// movedField is what is put behind an entry that was moved. What was known is still there.
var movedField = []byte{tagMoved, 0}

// withoutMoved takes that away again, and says whether it was there.
func withoutMoved(payload []byte) (entry []byte, moved bool) {
	last := 0
	d := decoder{rest: payload}
	for len(d.rest) > 0 && !d.bad {
		last = len(payload) - len(d.rest)
		d.rest = d.rest[1:]
		d.bytes()
	}
	if d.bad || len(payload) == 0 || payload[last] != tagMoved {
		return payload, false
	}
	return payload[:last], true
}
