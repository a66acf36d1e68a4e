package account

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// MaxFactors bounds how many codes a guess is compared with.
const MaxFactors = 8

// file is how a Person stands in a file: what may be left out is a pointer.
type file struct {
	Version   int               `toml:"version"`
	User      string            `toml:"user"`
	Binding   string            `toml:"binding,omitempty"`
	Enabled   *bool             `toml:"enabled"`
	Protocols []config.Protocol `toml:"protocols,omitempty"`
	Email     string            `toml:"email,omitempty"`
	Phone     string            `toml:"phone,omitempty"`
	Factors   []fileFactor      `toml:"factor,omitempty"`
	Recovery  Recovery          `toml:"recovery,omitempty"`
}

type fileFactor struct {
	ID        string         `toml:"id"`
	Kind      Kind           `toml:"kind"`
	Secret    *writtenSecret `toml:"secret,omitempty"`
	Digits    *int           `toml:"digits,omitempty"`
	Period    *int           `toml:"period,omitempty"`
	Algorithm *string        `toml:"algorithm,omitempty"`
	Counter   int64          `toml:"counter,omitempty"`
	Prefix    string         `toml:"prefix,omitempty"`
	Confirmed time.Time      `toml:"confirmed,omitzero"`
}

// parseBound reads data, the contents of the secret file at path, which must be
// that of the person with this login name and bound to to, if to anybody. It
// decrypts nothing. own are the policy's own protocols.
func parseBound(path, name, to string, data []byte, own []config.Protocol) (Person, error) {
	person, err := parse(path, data)
	if err != nil {
		return Person{}, err
	}
	if problem, key := person.check(name, to); problem != "" {
		return Person{}, ofAnother(key, tomlfile.At(path, data, problem, key...))
	}
	for _, protocol := range person.Protocols {
		if err := config.CheckProtocol(protocol, own); err != nil {
			return Person{}, tomlfile.At(path, data, err.Error(), "protocols")
		}
	}
	person.Binding = "" // it has said all; whoever writes the file makes it anew
	return person, nil
}

// parse reads data, and checks nothing that one value alone does not tell.
func parse(path string, data []byte) (Person, error) {
	f, err := decode(path, data)
	if err != nil {
		return Person{}, err
	}
	person := Person{
		Version: f.Version, User: f.User, Binding: f.Binding, Enabled: f.Enabled == nil || *f.Enabled, Protocols: f.Protocols,
		Email: f.Email, Phone: f.Phone, Recovery: f.Recovery, heading: heading(data),
	}
	person.Factors = slices.Grow(person.Factors, len(f.Factors))
	for _, factor := range f.Factors {
		person.Factors = append(person.Factors, factor.withDefaults())
	}
	return person, nil
}

// withDefaults fills in what every authenticator app assumes where nothing is
// said: see the key URI format that they share.
func (f fileFactor) withDefaults() Factor {
	factor := Factor{ID: f.ID, Kind: f.Kind, Confirmed: f.Confirmed, Counter: f.Counter, Prefix: f.Prefix}
	if f.Secret != nil {
		factor.Secret, factor.Encrypted = f.Secret.secret, f.Secret.encrypted
	}
	switch f.Kind {
	case TOTP:
		factor.Digits, factor.Period, factor.Algorithm = 6, 30, "SHA1"
	case HOTP:
		factor.Digits, factor.Algorithm = 6, "SHA1"
	}
	if f.Digits != nil {
		factor.Digits = *f.Digits
	}
	if f.Period != nil {
		factor.Period = *f.Period
	}
	if f.Algorithm != nil {
		factor.Algorithm = *f.Algorithm
	}
	return factor
}

// file is how the person is written. What the kind has none of is left out.
func (p Person) file() file {
	f := file{
		Version: p.Version, User: p.User, Binding: p.Binding, Enabled: &p.Enabled, Protocols: p.Protocols,
		Email: p.Email, Phone: p.Phone, Recovery: p.Recovery,
	}
	for _, factor := range p.Factors {
		f.Factors = append(f.Factors, fileFactor{
			ID: factor.ID, Kind: factor.Kind, Secret: factor.written(), Digits: unlessZero(factor.Digits), Period: unlessZero(factor.Period),
			Algorithm: unlessZero(factor.Algorithm), Counter: factor.Counter, Prefix: factor.Prefix, Confirmed: factor.Confirmed,
		})
	}
	return f
}

// written is how the secret stands in the file, nil if there is none.
func (f Factor) written() *writtenSecret {
	switch {
	case f.Encrypted != "":
		return &writtenSecret{encrypted: f.Encrypted}
	case f.Secret != nil:
		return &writtenSecret{secret: f.Secret}
	}
	return f.refused
}

func unlessZero[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}

// heading returns the comment lines that data begins with.
func heading(data []byte) string {
	end := 0
	for end < len(data) && data[end] == '#' {
		line := bytes.IndexByte(data[end:], '\n') + 1
		if line == 0 {
			return string(data)
		}
		end += line
	}
	return string(data[:end])
}

// Problem is what is wrong with one key of a person who was not read from a
// file.
type Problem struct {
	Key  string // the last part, such as "digits"
	What string
}

func (p Problem) Error() string { return p.Key + ": " + p.What }

// Check refuses a person whose secret file could not be read back. Its error
// is a Problem.
func Check(person Person) error {
	if problem, key := person.check(person.User, person.User); problem != "" {
		return Problem{key[len(key)-1], problem}
	}
	return nil
}

// check returns the first problem and the key it is at, or "". to is whom the file
// may be bound to.
func (p Person) check(name, to string) (problem string, key []string) {
	switch {
	case p.Version != 1:
		return "expected 1", []string{"version"}
	case p.User != name:
		return fmt.Sprintf("expected %q, the name of the file", name) + p.renamed(name), []string{"user"}
	case p.Binding != "" && p.Binding != BindingOf(to):
		return "the file was written for another user; if that one was renamed to " + name + ": otpctl rename OLD " + name, []string{"binding"}
	case p.Protocols != nil && len(p.Protocols) == 0:
		return "the list is empty; expected at least one protocol, or no such line for the policy's", []string{"protocols"}
	case p.Email != "" && CheckEmail(p.Email) != nil:
		return CheckEmail(p.Email).Error(), []string{"email"}
	case p.Phone != "" && CheckPhone(p.Phone) != nil:
		return CheckPhone(p.Phone).Error(), []string{"phone"}
	case len(p.Factors) > MaxFactors:
		return fmt.Sprintf("%d factors, expected at most %d", len(p.Factors), MaxFactors), []string{"factor"}
	}
	for i, factor := range p.Factors {
		if problem, last := factor.check(p); problem != "" {
			return problem, []string{"factor", strconv.Itoa(i), last}
		}
		// One id may be there twice while a confirmed factor waits for the
		// confirmation of the one that replaces it.
		if slices.ContainsFunc(p.Factors[:i], factor.hasPlaceOf) {
			return "this id is there twice", []string{"factor", strconv.Itoa(i), "id"}
		}
	}
	if problem, last := p.Recovery.check(); problem != "" {
		return problem, []string{"recovery", last}
	}
	return "", nil
}

// hasPlaceOf says that there cannot be both f and other.
func (f Factor) hasPlaceOf(other Factor) bool {
	return f.ID == other.ID && f.Confirmed.IsZero() == other.Confirmed.IsZero()
}

func (f Factor) check(p Person) (problem, key string) {
	switch {
	case CheckID(f.ID) != nil:
		return CheckID(f.ID).Error(), "id"
	case f.Prefix != "" && f.Kind != HOTP:
		return `only a factor of kind "hotp" has one`, "prefix"
	case f.Prefix != "" && CheckPrefix(f.Prefix) != nil:
		return CheckPrefix(f.Prefix).Error(), "prefix"
	}
	switch f.Kind {
	case TOTP:
		if f.Period < config.MinPeriod || f.Period > config.MaxPeriod {
			return "expected 15 to 300 seconds", "period"
		}
		if f.Counter != 0 {
			return `only a factor of kind "hotp" has one`, "counter"
		}
		return f.checkSecret()
	case HOTP:
		if f.Period != 0 {
			return `only a factor of kind "totp" has one`, "period"
		}
		if f.Counter < 0 || f.Counter > maxCounter {
			return fmt.Sprintf("expected 0 to %d", int64(maxCounter)), "counter"
		}
		return f.checkSecret()
	case Email:
		if p.Email == "" {
			return `the person has no address to send to; expected email = "…" above`, "kind"
		}
		return f.checkSent()
	case SMS:
		if p.Phone == "" {
			return `the person has no number to send to; expected phone = "…" above`, "kind"
		}
		return f.checkSent()
	}
	return `expected "totp", "hotp", "email" or "sms"`, "kind"
}

// maxCounter is far above what a token can count to in its life, and leaves
// room for looking ahead.
const maxCounter = 1 << 40

// checkSecret checks what codes are computed from.
func (f Factor) checkSecret() (problem, key string) {
	switch {
	case !f.hasSecret():
		return "expected the key in base32, 16 characters or more", "secret"
	case f.Digits < config.MinDigits || f.Digits > config.MaxDigits:
		return "expected 6, 7 or 8", "digits"
	case !slices.Contains(config.Algorithms, f.Algorithm):
		return `expected "SHA1", "SHA256" or "SHA512"`, "algorithm"
	}
	return "", ""
}

// hasSecret says whether there is one, be it that it cannot be read now.
func (f Factor) hasSecret() bool { return len(f.Secret) > 0 || f.refused != nil || f.Encrypted != "" }

// checkSent refuses what codes that are sent do not have.
func (f Factor) checkSent() (problem, key string) {
	const none = "codes that are sent have none; see [sent] in the configuration"
	switch {
	case f.hasSecret():
		return none, "secret"
	case f.Digits != 0:
		return none, "digits"
	case f.Period != 0:
		return none, "period"
	case f.Algorithm != "":
		return none, "algorithm"
	case f.Counter != 0:
		return none, "counter"
	}
	return "", ""
}

const (
	prefixCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	idCharacters     = prefixCharacters + "-_"
)

// maxHashes is far above the ten codes that are made at once.
const maxHashes = 100

func (r Recovery) check() (problem, key string) {
	if r.User != "" && CheckName(r.User) != nil {
		return CheckName(r.User).Error(), "user"
	}
	if len(r.Hashes) > maxHashes {
		return fmt.Sprintf("%d hashes, expected at most %d", len(r.Hashes), maxHashes), "hashes"
	}
	for _, kept := range r.Hashes {
		if !isHash(strings.TrimPrefix(kept, ScratchPrefix)) {
			return "expected hashes of 64 digits 0-9 and a-f each, as otpctl recovery and import write them", "hashes"
		}
	}
	return "", ""
}

// isHash says that text is 32 bytes in hexadecimal, in small letters, as they are written:
// large ones are read too.
func isHash(text string) bool {
	var hash [32]byte
	var written [2 * len(hash)]byte
	if len(text) != len(written) {
		return false
	}
	_, err := hex.Decode(hash[:], []byte(text))
	hex.Encode(written[:], hash[:])
	return err == nil && string(written[:]) == text
}
