package pinned

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
)

// keyRules hold for a key's file.
var keyRules = safefile.Rules{Forbidden: 0o077, MaxSize: 4 << 10}

// KeyFile is a key in a file, read again when that changes.
type KeyFile struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	seen config.State
	key  *Key
}

// NewKeyFile is for the file at path, an absolute path. Nothing is read yet.
func NewKeyFile(path string) *KeyFile { return &KeyFile{path: path, now: time.Now} }

// Key is the key as it is in the file now.
func (f *KeyFile) Key() (*Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	state, err := config.StateOf(f.path)
	if err == nil && f.key != nil && state == f.seen {
		return f.key, nil
	}
	f.key = nil
	key, err := ReadKey(f.path)
	if err != nil {
		return nil, err
	}
	if state.Settled(f.now()) {
		f.seen, f.key = state, key
	}
	return key, nil
}

// ReadKey reads the key in the file at path, which nobody but its owner may read. It
// may lie in a directory of root's, and belong to the user whose it is.
func ReadKey(path string) (*Key, error) {
	dir, err := safefile.OpenServiceDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	file, err := safefile.OpenIn(dir, filepath.Base(path), unix.O_RDONLY, keyRules)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := safefile.ReadOpen(file, keyRules)
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
