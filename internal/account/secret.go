package account

import (
	"encoding/base32"
	"errors"
	"strings"
)

// Bounds of a secret in bytes. RFC 4226 section 4 asks for 128 bits and
// recommends 160, which new enrollments have; 80 is what long-established
// services gave out and what people bring along.
const (
	MinSecret = 10
	maxSecret = 128
)

// Secret is a factor's key. Printed with any verb but its own methods it
// shows nothing of itself.
type Secret []byte

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Base32 returns the key as authenticator apps take it.
func (s Secret) Base32() string { return encoding.EncodeToString(s) }

// String keeps the key out of logs and errors.
func (Secret) String() string { return "[secret]" }

// GoString keeps the key out of %#v.
func (Secret) GoString() string { return "[secret]" }

// MarshalText writes the key into a secret file.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Base32()), nil }

// UnmarshalText reads base32 (RFC 4648 section 6) in the ways people and
// programs write it: in either case, in groups with spaces, with padding.
func (s *Secret) UnmarshalText(text []byte) error {
	compact := strings.ToUpper(strings.ReplaceAll(string(text), " ", ""))
	key, err := encoding.DecodeString(strings.TrimRight(compact, "="))
	if err != nil || strings.ContainsAny(compact, "\r\n") {
		return errors.New("expected base32: the letters A-Z and the digits 2-7")
	}
	switch {
	case len(key) < MinSecret:
		return errors.New("expected 10 bytes at least, which is 16 characters of base32")
	case len(key) > maxSecret:
		return errors.New("expected 128 bytes at most, which is 205 characters of base32")
	}
	*s = key
	return nil
}
