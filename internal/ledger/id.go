package ledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// idName is the file with the ledger's id, beside the directories of keys.
const idName = "id"

const idBytes = 8

// IDForm says what an id is.
const IDForm = "expected 16 digits of base 16 and nothing else"

// NewID draws the id of a new ledger.
func NewID() string {
	raw := make([]byte, idBytes)
	_, _ = rand.Read(raw) // never fails, see its documentation
	return hex.EncodeToString(raw)
}

// ValidID says whether id has the form of one.
func ValidID(id string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && len(raw) == idBytes
}

var _ Identified = (*Files)(nil)

// ID implements [Identified]. The id is made when it is first asked for, and goes
// where the files go: who copies a ledger must not use both.
func (f *Files) ID(ctx context.Context) (string, error) {
	dir, err := safefile.OpenServiceDir(f.dir)
	if err != nil {
		return "", fmt.Errorf("id of the ledger: %w", err)
	}
	defer dir.Close()
	if _, found, err := readMoved(dir); err != nil || found {
		if err == nil && !f.moving {
			err = f.movedError()
		}
		if err != nil {
			return "", fmt.Errorf("id of the ledger: %w", err)
		}
	}
	id, err := readID(dir)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = makeID(ctx, dir)
	}
	if err != nil {
		return "", fmt.Errorf("id of the ledger: %w", err)
	}
	return id, nil
}

func readID(dir *safefile.File) (string, error) {
	data, err := safefile.ReadIn(dir, idName, fileRules)
	if err != nil {
		return "", err
	}
	id := string(data)
	if !ValidID(id) {
		return "", fmt.Errorf("%s/%s: %s; take the file away, and another id is drawn", dir.Name(), idName, IDForm)
	}
	return id, nil
}

// makeID draws the id, unless somebody else was quicker.
func makeID(ctx context.Context, dir *safefile.File) (string, error) {
	if err := lockFile(ctx, dir, unix.LOCK_EX); err != nil {
		return "", err
	}
	defer func() { _ = unix.Flock(dir.Fd(), unix.LOCK_UN) }()
	id, err := readID(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	id = NewID()
	return id, safefile.Replace(dir, idName, []byte(id), 0o600)
}
