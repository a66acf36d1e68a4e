// Package account reads and writes secret files: one TOML file per person,
// with what the person's codes are checked against.
//
// The entry points are [Store] and, for one whose files are in a directory,
// [Place]. They promise that a name never leads out of the directory, that a file
// is believed only if its owner, mode and contents are right, and that no error
// quotes a secret. What logins write is in package ledger; logins never write here.
package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
)

// ErrNotFound is wrapped by the error for a person who has no secret file.
var ErrNotFound = errors.New("no secret file")

// Person is one secret file.
type Person struct {
	// Version is that of the format: 1.
	Version int `toml:"version"`
	// User is the login name, as in the file's name.
	User string `toml:"user"`
	// Binding says whose file this is, in a form that nobody edits along with
	// the name. otpctl writes it; by hand leave it out. A file of somebody else is
	// refused: otpctl rename keeps used codes used and recovery codes good.
	Binding string `toml:"binding,omitempty"`
	// Enabled is false for a person whose factors do not count for now.
	Enabled bool `toml:"enabled"`
	// Protocols, if set, is where this person is asked, instead of the policy's.
	Protocols []config.Protocol `toml:"protocols,omitempty"`
	// Email is a plain mail address, to which codes of the kind "email" go, and
	// text messages that fail.
	Email string `toml:"email,omitempty"`
	// Phone is a telephone number of digits, with a plus in front if it is an
	// international one. Codes of the kind "sms" go there.
	Phone    string   `toml:"phone,omitempty"`
	Factors  []Factor `toml:"factor,omitempty"`
	Recovery Recovery `toml:"recovery,omitempty"`

	// heading is the comment that the file begins with; it is kept.
	heading string
	// seen is the file's state when it was read.
	seen safefile.Stamp
}

// Factor is something that a person's codes come from.
type Factor struct {
	// ID is the device's name: 1 to 32 of a-z, A-Z, 0-9, - and _.
	ID string `toml:"id"`
	// Kind is "totp" (an authenticator app, RFC 6238), "hotp" (a token with a
	// counter, RFC 4226), "email" or "sms".
	Kind Kind `toml:"kind"`
	// Secret is the key that codes are computed from, in base32 (RFC 4648
	// section 6), of 80 bits at least, or as otpctl secrets encrypts it. Only
	// "totp" and "hotp" have it and the next four; codes of the other kinds go to
	// the person's email or phone.
	Secret Secret `toml:"secret,omitempty"`
	// Digits is how long a code is, 6 to 8; 6 if it is left out.
	Digits int `toml:"digits,omitempty"`
	// Period is how long a code lasts, 15 to 300 seconds, for "totp" only; 30
	// if it is left out.
	Period int `toml:"period,omitempty"`
	// Algorithm is "SHA1", "SHA256" or "SHA512"; "SHA1" if it is left out.
	Algorithm string `toml:"algorithm,omitempty"`
	// Counter is the first that the token may use, for "hotp" only. The ledger
	// has where it has got to since, and the greater of the two counts.
	Counter int64 `toml:"counter,omitempty"`
	// Prefix is what the token types before each code, such as a YubiKey's
	// identity, for "hotp" only. A code counts with exactly that before it, or
	// without it.
	Prefix string `toml:"prefix,omitempty"`
	// Confirmed is when a first code proved that the person has the secret.
	// Before that the factor does not count.
	Confirmed time.Time `toml:"confirmed,omitzero"`

	// Encrypted is the secret as it stands in the file, if it is encrypted there.
	// Whoever gives the factor another secret takes it away.
	Encrypted string `toml:"-"`
	// unreadable says why there is no Secret though the file has one, and refused is
	// one that is not encrypted and must be: a pointer, as nothing keeps what is printed
	// of a Factor from showing what is not exported.
	unreadable error
	refused    *writtenSecret
}

// Recovery holds the recovery codes, see package factor.
type Recovery struct {
	// User is the name that the codes were made for, if the person was renamed
	// since.
	User string `toml:"user,omitempty"`
	// Hashes are the codes' hashes, as otpctl recovery writes them. The codes
	// cannot be told from them.
	Hashes []string `toml:"hashes,omitempty"`
}

// ScratchPrefix is what the hash of a recovery code begins with that was made
// elsewhere. Programs that do not know such codes refuse the file.
const ScratchPrefix = "scratch:"

// Kind says how a factor's codes are made.
type Kind string

// The kinds: codes of an authenticator app (RFC 6238), of a token with a
// counter (RFC 4226), and codes that are sent.
const (
	TOTP  Kind = "totp"
	HOTP  Kind = "hotp"
	Email Kind = "email"
	SMS   Kind = "sms"
)

// UnmarshalText checks the kind.
func (k *Kind) UnmarshalText(text []byte) error {
	for _, kind := range [...]Kind{TOTP, HOTP, Email, SMS} {
		if string(text) == string(kind) {
			*k = kind
			return nil
		}
	}
	return errors.New(`expected "totp", "hotp", "email" or "sms"`)
}

// IsSent says whether codes of this kind are sent to the person.
func (k Kind) IsSent() bool { return k == Email || k == SMS }

// Confirmed returns the factors that count.
func (p Person) Confirmed() []Factor {
	var confirmed []Factor
	for _, f := range p.Factors {
		if !f.Confirmed.IsZero() {
			confirmed = append(confirmed, f)
		}
	}
	return confirmed
}

// EmailInstead says whether a text message that fails may go to the person's
// address: not while that has still to show that codes arrive there.
func (p Person) EmailInstead() bool {
	of := func(f Factor) bool { return f.Kind == Email }
	return p.Email != "" && (slices.ContainsFunc(p.Confirmed(), of) || !slices.ContainsFunc(p.Factors, of))
}

// Enrolled says whether the person has given a first code and is enabled.
func (p Person) Enrolled() bool {
	return p.Enabled && slices.ContainsFunc(p.Factors, func(f Factor) bool { return !f.Confirmed.IsZero() })
}

// maxNameBytes leaves room for the ending in a file name of 255 bytes.
const maxNameBytes = 200

// CheckName refuses a login name that is no plain file name or that a log or
// a prompt cannot show.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("empty user name")
	case len(name) > maxNameBytes:
		return fmt.Errorf("user name of %d bytes, expected at most %d", len(name), maxNameBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("user name %q: expected printable characters only", name)
	case strings.Contains(name, "/") || strings.Contains(name, ".."):
		return fmt.Errorf("user name %q: expected neither %q nor %q in it", name, "/", "..")
	case strings.ContainsRune(".-@~ ", rune(name[0])) || strings.HasSuffix(name, " "):
		return fmt.Errorf("user name %q: expected it not to begin with one of . - @ ~ or a space", name)
	}
	return nil
}

// CheckID refuses an id that no factor can have.
func CheckID(id string) error {
	if id == "" || len(id) > 32 || strings.Trim(id, idCharacters) != "" {
		return errors.New("expected 1 to 32 of a-z, A-Z, 0-9, - and _")
	}
	return nil
}

// MaxPrefix leaves room for the code behind it where both are taken off a
// password. A YubiKey's identity has 12 characters.
const MaxPrefix = 16

// CheckPrefix refuses what no token types before its codes.
func CheckPrefix(prefix string) error {
	if prefix == "" || len(prefix) > MaxPrefix || strings.Trim(prefix, prefixCharacters) != "" {
		return fmt.Errorf("expected 1 to %d of a-z, A-Z and 0-9, as the token types them", MaxPrefix)
	}
	return nil
}
