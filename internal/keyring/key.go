package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// A key's file has one line, 32 random bytes in base64, and may have lines of
// comment, which begin with "#".
const keyBytes = 32

var errKeyForm = errors.New("expected a key: one line, 32 random bytes in base64, which is 44 characters, as otpctl secrets init writes it")

// Spare is what a key's file says of a spare copy.
type Spare int

// What it can say.
const (
	SpareUnknown Spare = iota // nothing: somebody made it by hand
	SpareNone                 // that whoever made it wanted none
	SpareMade                 // that there is one
)

// The lines that say so.
const (
	spareComment     = "# A spare copy is encrypted for "
	noSpareComment   = "# There is no spare copy."
	elsewhereComment = "# There is a spare copy elsewhere." // written by hand
)

// ErrSpareUnknown is wrapped by the error for a key that would encrypt, and whose file
// says nothing of a spare copy.
var ErrSpareUnknown = errors.New(`it says nothing of a spare copy of the key, and without the key everybody has to enroll again; expected a key of otpctl secrets init, or the line "` +
	elsewhereComment + `" or "` + noSpareComment + `" in the file`)

// NewFile makes a key and returns its name and what its file is to have. spares
// are the age recipients of a spare copy, if there is one.
func NewFile(spares ...string) (name string, data []byte) {
	raw := make([]byte, keyBytes)
	rand.Read(raw) // never fails, see its documentation
	defer clear(raw)
	name = nameOf(raw)
	data = append(data, "# The key "+name+" of otpgate, see otpctl secrets.\n"...)
	for _, spare := range spares {
		data = append(data, spareComment+spare+"\n"...)
	}
	if len(spares) == 0 {
		data = append(data, noSpareComment+"\n"...)
	}
	data = base64.StdEncoding.AppendEncode(data, raw)
	return name, append(data, '\n')
}

// parseKey returns the key in data, the contents of its file.
func parseKey(data []byte) (raw []byte, err error) {
	var line []byte
	for part := range bytes.Lines(data) {
		part = bytes.TrimSuffix(part, []byte("\n"))
		switch {
		case bytes.HasPrefix(part, []byte("#")):
		case line != nil:
			return nil, errKeyForm
		default:
			line = part
		}
	}
	raw = make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	n, err := base64.StdEncoding.Strict().Decode(raw, line)
	if err != nil || n != keyBytes || bytes.IndexByte(line, '\r') >= 0 {
		clear(raw)
		return nil, errKeyForm
	}
	return raw[:n], nil
}

// NameOfFile returns the name of the key in data, the contents of its file, and
// what the file says of a spare copy.
func NameOfFile(data []byte) (name string, spare Spare, err error) {
	raw, err := parseKey(data)
	if err != nil {
		return "", SpareUnknown, err
	}
	defer clear(raw)
	return nameOf(raw), spareOf(data), nil
}

// spareOf returns what data, the contents of a key's file, says of a spare copy.
func spareOf(data []byte) (spare Spare) {
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		switch {
		case bytes.HasPrefix(line, []byte(spareComment)), string(line) == elsewhereComment:
			return SpareMade
		case string(line) == noSpareComment:
			spare = SpareNone
		}
	}
	return spare
}

// ReadFile returns what NameOfFile does of the file at path, which must be as a
// Ring wants it.
func ReadFile(path string) (name string, spare Spare, err error) {
	data, _, err := readFile(path, time.Now)
	if err != nil {
		return "", SpareUnknown, err
	}
	defer clear(data)
	if name, spare, err = NameOfFile(data); err != nil {
		return "", SpareUnknown, fmt.Errorf("%s: %w", path, err)
	}
	return name, spare, nil
}

// nameOf is how values say which key they are encrypted with. It gives nothing away
// of 256 random bits.
func nameOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:nameDigits/2])
}

// newAEAD makes the cipher of a key. What encrypts is derived for this one purpose,
// so that the same file can have others.
func newAEAD(raw []byte) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, raw, nil, "otpgate secret 1", keyBytes)
	if err != nil {
		return nil, err
	}
	defer clear(derived)
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
