package invitation

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/otpgate/otpgate/internal/ledger"
)

// secretBytes are those of a link, and of what a browser gets: 160 bits, which nobody
// guesses, so that a plain hash keeps them.
const secretBytes = 20

var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newSecret(random io.Reader) (string, error) {
	secret := make([]byte, secretBytes)
	if _, err := io.ReadFull(random, secret); err != nil {
		return "", fmt.Errorf("draw a link: %w", err)
	}
	return encoding.EncodeToString(secret), nil
}

// isSecret says whether text has the one form of a link.
func isSecret(text string) bool {
	secret, err := encoding.DecodeString(text)
	return err == nil && len(secret) == secretBytes && encoding.EncodeToString(secret) == text
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func isHash(text string) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && len(sum) == sha256.Size && hex.EncodeToString(sum) == text
}

// same compares hashes.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// keyOf is where the invitation of a link is.
func keyOf(link string) (key ledger.Key, known bool) {
	return ledger.Key{Kind: ledger.Link, Name: hash(link)}, isSecret(link)
}

// KeyOf is where the invitation is that a link or a browser session is of. The other one is "".
func KeyOf(link, session string) (key ledger.Key, known bool) {
	if link != "" {
		return keyOf(link)
	}
	key, _, known = parseSession(session)
	return key, known
}

func personKey(user string) ledger.Key { return ledger.Key{Kind: ledger.Invited, Name: user} }

// A browser session names the invitation by the hash of its link: a browser's cookie must not be
// good for opening the link again.
func sessionOf(key ledger.Key, secret string) string { return key.Name + "." + secret }

// parseSession gives the invitation that a browser session is of, and the hash of its secret.
func parseSession(session string) (key ledger.Key, hashed string, known bool) {
	name, secret, _ := strings.Cut(session, ".")
	return ledger.Key{Kind: ledger.Link, Name: name}, hash(secret), isHash(name) && isSecret(secret)
}
