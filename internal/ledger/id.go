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

var _ Identified = (*Files)(nil)

// ID implements [Identified]. The id is made when it is first asked for, and goes
// where the files go: who copies a ledger must not use both.
func (f *Files) ID(ctx context.Context) (string, error) {
	dir, err := safefile.OpenServiceDir(f.dir)
	if err != nil {
		return "", fmt.Errorf("id of the ledger: %w", err)
	}
	defer dir.Close()
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
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != idBytes {
		return "", fmt.Errorf("%s/%s: expected %d digits of base 16 and nothing else; take the file away, and another id is drawn", dir.Name(), idName, 2*idBytes)
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
	raw := make([]byte, idBytes)
	_, _ = rand.Read(raw) // never fails, see its documentation
	id = hex.EncodeToString(raw)
	return id, safefile.Replace(dir, idName, []byte(id), 0o600)
}
