// Package keyring encrypts secrets for the place that they stand in, and decrypts
// them, with keys that are in files.
//
// The entry point is [New]; a [Ring] reads its files when it needs a key, and
// again when they change. It promises that a value decrypts only in the place that it
// was encrypted for and with every byte as it was, that a key's file counts only if
// nobody else can read or write it, that none encrypts whose file says nothing of a
// spare copy, and that no error quotes a key or a secret.
package keyring

import (
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/safefile"
)

// What a value can fail to decrypt for. In each case it may be as good as ever, once
// the admin has put things right.
var (
	// ErrNoKey is wrapped by the error for a value whose key is not there, or in a file
	// that must not be believed.
	ErrNoKey = errors.New("no file of secrets.keys that can be used has it")
	// ErrDamaged is wrapped by the error for a value that does not decrypt with its key.
	ErrDamaged = errors.New("it was changed, or brought here from another person or factor")
	// ErrForm is wrapped by the error for a value that is none.
	ErrForm = errors.New(`expected "encrypted:", eight digits 0-9 and a-f, a colon and base64, as otpctl writes it`)
)

// Binding is where a secret stands, and what it is encrypted for: one that is brought to
// another person or factor does not decrypt there.
type Binding struct {
	// Person is the login name, Factor the device's id, Kind how its codes are made.
	Person, Factor, Kind string
}

// additional is the data that is authenticated along with a secret at p. None of
// the names can have a zero byte in it.
func (p Binding) additional() []byte {
	return []byte("otpgate secret 1\x00" + p.Person + "\x00" + p.Factor + "\x00" + p.Kind)
}

// Prefix is what an encrypted value begins with.
const Prefix = "encrypted:"

// nameDigits is how long a key's name is.
const nameDigits = 8

// encoding takes one spelling of a value alone, so that every byte counts.
var encoding = base64.RawStdEncoding.Strict()

// IsEncrypted says whether text is meant for an encrypted value.
func IsEncrypted(text string) bool { return strings.HasPrefix(text, Prefix) }

// KeyOf returns the name of the key that text is encrypted with, "" if text is no
// encrypted value.
func KeyOf(text string) string {
	name, _, err := parse(text)
	if err != nil {
		return ""
	}
	return name
}

// parse takes a value apart. box is nonce, ciphertext and tag.
func parse(text string) (name string, box []byte, err error) {
	rest, found := strings.CutPrefix(text, Prefix)
	name, coded, colon := strings.Cut(rest, ":")
	if !found || !colon || !isName(name) || strings.ContainsAny(coded, "\r\n") {
		return "", nil, ErrForm
	}
	if box, err = encoding.DecodeString(coded); err != nil {
		return "", nil, ErrForm // the decoder's error tells where, which is of no use
	}
	return name, box, nil
}

// isName says that text has the form of a key's name.
func isName(text string) bool {
	return len(text) == nameDigits && strings.Trim(text, "0123456789abcdef") == ""
}

// Ring is the keys of a configuration. It may be used by several goroutines. A nil
// Ring has no keys.
type Ring struct {
	mu   sync.Mutex
	keys []fileKey
	now  func() time.Time
	held bool // keys that were read are not looked at again
}

// fileKey is a file and the key that was read from it.
type fileKey struct {
	path  string
	name  string
	spare Spare
	aead  cipher.AEAD // nil if it was not read
	stamp safefile.Stamp
}

// New makes a ring of the keys in these files, whose paths must be absolute. The
// first one encrypts, all decrypt. Nothing is read yet.
func New(paths ...string) *Ring {
	ring := &Ring{now: time.Now}
	for _, path := range paths {
		ring.keys = append(ring.keys, fileKey{path: path})
	}
	return ring
}

// Held returns a ring with the keys that the files have now. It looks at no file again
// that it has read, which takes longer than to encrypt: it is for many secrets at once,
// and to be thrown away then.
func (r *Ring) Held() *Ring {
	if r.Empty() {
		return r
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	held := &Ring{keys: slices.Clone(r.keys), now: r.now, held: true}
	for i := range held.keys {
		// What it cannot read it says again to whoever needs that key.
		_ = held.keys[i].fresh(r.now)
	}
	return held
}

// Empty says that there are no keys, and so nothing is to be encrypted.
func (r *Ring) Empty() bool { return r == nil || len(r.keys) == 0 }

// Current returns the name of the key that encrypts. An error tells why there is none.
func (r *Ring) Current() (name string, err error) {
	if r.Empty() {
		return "", errNoKeys
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := r.encrypting()
	if err != nil {
		return "", err
	}
	return key.name, nil
}

// encrypting returns the first key, if its file says whether there is a spare copy:
// what would be lost with the key must not be made before somebody has thought of that.
func (r *Ring) encrypting() (*fileKey, error) {
	key := &r.keys[0]
	if err := r.fresh(key); err != nil {
		return nil, err
	}
	if key.spare == SpareUnknown {
		return nil, fmt.Errorf("%s: %w", key.path, ErrSpareUnknown)
	}
	return key, nil
}

// errNoKeys says that the configuration names no keys.
var errNoKeys = fmt.Errorf("%w: the configuration names none; expected keys in [secrets]", ErrNoKey)

// Encrypt encrypts secret for its place, with the first key.
func (r *Ring) Encrypt(at Binding, secret []byte) (text string, err error) {
	if r.Empty() {
		return "", errNoKeys
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := r.encrypting()
	if err != nil {
		return "", err
	}
	return Prefix + key.name + ":" + encoding.EncodeToString(key.aead.Seal(nil, nil, secret, at.additional())), nil
}

// Decrypt returns the secret that Encrypt made text of, at the same place.
func (r *Ring) Decrypt(at Binding, text string) (secret []byte, err error) {
	name, box, err := parse(text)
	if err != nil {
		return nil, err
	}
	if r.Empty() {
		return nil, fmt.Errorf("encrypted with the key %s, and %w", name, errNoKeys)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, err := r.find(name)
	if err != nil {
		return nil, err
	}
	secret, err = key.aead.Open(nil, nil, box, at.additional())
	if err != nil {
		return nil, fmt.Errorf("it does not decrypt with the key %s of %s: %w; expected the value as otpctl wrote it for this factor: bring it back from a backup, or enroll the factor again", name, key.path, ErrDamaged)
	}
	return secret, nil
}

// find returns the key of that name. It reads no more files than it must.
func (r *Ring) find(name string) (*fileKey, error) {
	for i := range r.keys {
		if key := &r.keys[i]; key.aead != nil && key.name == name && r.fresh(key) == nil && key.name == name {
			return key, nil
		}
	}
	var problems []string
	for i := range r.keys {
		key := &r.keys[i]
		switch err := r.fresh(key); {
		case errors.Is(err, fs.ErrNotExist):
			problems = append(problems, err.Error()+"; bring it back from the spare copy (otpctl secrets open)")
		case err != nil:
			problems = append(problems, err.Error())
		case key.name == name:
			return key, nil
		default:
			problems = append(problems, key.path+" has the key "+key.name)
		}
	}
	return nil, fmt.Errorf("encrypted with the key %s, and %w: %s", name, ErrNoKey, strings.Join(problems, "; "))
}

// fresh sees to it that key is what its file has now, or had when it was held.
func (r *Ring) fresh(key *fileKey) error {
	if r.held && key.aead != nil {
		return nil
	}
	return key.fresh(r.now)
}

// fresh sees to it that k is what its file has now.
func (k *fileKey) fresh(now func() time.Time) error {
	dir, name := filepath.Split(k.path)
	if k.aead != nil && k.stamp.Unchanged(dir, name) {
		return nil
	}
	k.name, k.spare, k.aead, k.stamp = "", SpareUnknown, nil, safefile.Stamp{}
	data, stamp, err := readFile(k.path, now)
	if err != nil {
		return err
	}
	defer clear(data)
	raw, err := parseKey(data)
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	defer clear(raw)
	aead, err := newAEAD(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	k.name, k.spare, k.aead, k.stamp = nameOf(raw), spareOf(data), aead, stamp
	return nil
}

// rules of a key's file are those of a password's.
var rules = safefile.Rules{Forbidden: 0o077, MaxSize: 4 << 10}

func readFile(path string, now func() time.Time) ([]byte, safefile.Stamp, error) {
	dir, err := safefile.OpenServiceDir(filepath.Dir(path))
	if err != nil {
		return nil, safefile.Stamp{}, fmt.Errorf("%s: %w", path, err)
	}
	defer dir.Close()
	file, err := safefile.OpenIn(dir, filepath.Base(path), unix.O_RDONLY, rules)
	if err != nil {
		return nil, safefile.Stamp{}, err
	}
	defer file.Close()
	data, err := safefile.ReadOpen(file, rules)
	return data, safefile.StampOf(file.Seen(), dir.Seen().Uid, now()), err
}
