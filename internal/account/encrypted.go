package account

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// An encrypted secret is kept as it stands in the file beside the key that it
// decrypts to, and written back byte for byte. So everything but the codes works
// without the key that encrypts, and a secret that cannot be read now is not lost.

// maxEncrypted is above what the longest secret becomes, in bytes.
const maxEncrypted = 512

// ErrUnreadable is wrapped by the error for a factor whose secret cannot be read
// now: it is encrypted and does not decrypt, or is not encrypted and must be. Whoever
// has such a factor has it still.
var ErrUnreadable = errors.New("secret cannot be read")

// UnreadableError says why a secret cannot be read. It names file and key.
type UnreadableError struct {
	Cause error
	text  string
}

func (u UnreadableError) Error() string { return u.text }

// Unwrap makes it both ErrUnreadable and what was the matter.
func (u UnreadableError) Unwrap() []error { return []error{ErrUnreadable, u.Cause} }

// Unreadable says why the factor's secret cannot be read now, nil if it can or if
// there is none to read.
func (f Factor) Unreadable() error {
	if f.unreadable == nil {
		return nil
	}
	return f.unreadable
}

// IsEncrypted says whether the factor's secret is encrypted in the file.
func (f Factor) IsEncrypted() bool { return f.Encrypted != "" }

// Unreadable returns the first error of a factor's secret that cannot be read now.
func (p Person) Unreadable() error {
	for _, f := range p.Factors {
		if err := f.Unreadable(); err != nil {
			return err
		}
	}
	return nil
}

// binding is where the secret of the factor stands, in the file of the person.
func (f Factor) binding(person string) keyring.Binding {
	return keyring.Binding{Person: person, Factor: f.ID, Kind: string(f.Kind)}
}

var errNotEncrypted = errors.New(`it is not encrypted, and [secrets] of the configuration has required = true; if it is as it should be, set that to false, run otpctl secrets encrypt, and set it to true again`)

var errPlainAway = errors.New("it is not encrypted, and must be, as ledger.people of the configuration is true; while that is false, otpctl secrets encrypt encrypts it in secret files")

// decrypt decrypts the secrets of the person, whose file was written for name.
// What does not decrypt stays as it is and says why.
func (p Place) decrypt(path, name string, data []byte, person *Person) {
	for i := range person.Factors {
		f := &person.Factors[i]
		f.unreadable = nil
		if err := p.decryptOne(name, f); err != nil {
			f.Secret = nil
			f.unreadable = UnreadableError{err, tomlfile.At(path, data, err.Error(), "factor", strconv.Itoa(i), "secret").Error()}
		}
	}
}

func (p Place) decryptOne(name string, f *Factor) error {
	switch {
	case f.Kind.IsSent():
		return nil
	case !f.IsEncrypted() && p.Required:
		f.refused = &writtenSecret{secret: f.Secret}
		if p.Away {
			return errPlainAway
		}
		return errNotEncrypted
	case !f.IsEncrypted():
		return nil
	}
	secret, err := p.Keys.Decrypt(f.binding(name), f.Encrypted)
	if err != nil {
		return err
	}
	if len(secret) < MinSecret || len(secret) > maxSecret {
		clear(secret)
		return fmt.Errorf("it decrypts to %d bytes, expected %d to %d", len(secret), MinSecret, maxSecret)
	}
	f.Secret = secret
	return nil
}

// encrypt encrypts those secrets of the person that are not. Without the key only
// those of before stay as they are, which is how the person was on disk.
func (p Place) encrypt(name string, person *Person, before []Factor) error {
	if p.Keys.Empty() {
		return nil
	}
	for i := range person.Factors {
		f := &person.Factors[i]
		if f.IsEncrypted() || len(f.Secret) == 0 {
			continue
		}
		text, err := p.Keys.Encrypt(f.binding(name), f.Secret)
		switch {
		case err == nil:
			f.Encrypted = text
		case !hasPlain(before, *f):
			return fmt.Errorf("encrypt the secret of factor %q: %w", f.ID, err)
		}
	}
	return nil
}

// hasPlain says whether the secret of f is among those without encryption.
func hasPlain(factors []Factor, f Factor) bool {
	for _, old := range factors {
		if !old.IsEncrypted() && old.ID == f.ID && string(old.Secret) == string(f.Secret) {
			return true
		}
	}
	return false
}

// ErrPlain is wrapped by the error for what must not leave this machine: a secret that is
// not encrypted, or a code that can be found out.
var ErrPlain = errors.New("it would leave this machine without being encrypted")

// CheckEncrypted refuses the text of a secret file that has anything in it by which
// whoever reads it could log in: a secret that is not encrypted, or a scratch code. Those
// have so few digits that their hashes tell them.
func CheckEncrypted(path string, data []byte) error {
	person, err := parse(path, data)
	if err != nil {
		return err
	}
	for i, f := range person.Factors {
		if !f.Kind.IsSent() && !f.IsEncrypted() || f.Kind.IsSent() && f.hasSecret() {
			return fmt.Errorf("%w; secrets.keys of the configuration must name a key", plain(path, data, "factor", strconv.Itoa(i), "secret"))
		}
	}
	for _, hash := range person.Recovery.Hashes {
		if strings.HasPrefix(hash, ScratchPrefix) {
			return fmt.Errorf("%w; %s", plain(path, data, "recovery", "hashes"), adviceOnScratch)
		}
	}
	return nil
}

const adviceOnScratch = "scratch codes have too few digits to be kept by their hashes: leave them behind, and make others with otpctl recovery"

func plain(path string, data []byte, key ...string) error {
	return plainError{tomlfile.At(path, data, ErrPlain.Error(), key...)}
}

type plainError struct{ error }

func (plainError) Unwrap() error { return ErrPlain }

// writtenSecret is a secret as it stands in a file.
type writtenSecret struct {
	secret    Secret // nil if it is encrypted
	encrypted string
}

// MarshalText writes the secret.
func (w writtenSecret) MarshalText() ([]byte, error) {
	if w.encrypted != "" {
		return []byte(w.encrypted), nil
	}
	return w.secret.MarshalText()
}

// UnmarshalText reads a secret, or what can be an encrypted one. Whether that is one
// is seen when it is to be decrypted: the rest of the file is good in any case.
func (w *writtenSecret) UnmarshalText(text []byte) error {
	if !keyring.IsEncrypted(string(text)) {
		return w.secret.UnmarshalText(text)
	}
	strange := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\'' || r == '\\' }
	if len(text) > maxEncrypted || strings.ContainsFunc(string(text), strange) {
		return keyring.ErrForm
	}
	w.encrypted = string(text)
	return nil
}
