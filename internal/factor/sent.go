package factor

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// NewSent makes a random code to send. settings must have been checked.
func NewSent(settings config.Sent) string {
	var code strings.Builder
	for range settings.Length {
		// rand.Int takes from the alphabet evenly, whatever its length.
		at, err := rand.Int(rand.Reader, big.NewInt(int64(len(settings.Alphabet))))
		if err != nil {
			panic(err) // never fails, see the documentation of rand.Reader
		}
		code.WriteByte(settings.Alphabet[at.Int64()])
	}
	return code.String()
}

// IsSent says whether text has the exact form of a code that is sent.
func IsSent(settings config.Sent, text string) bool {
	return len(text) == settings.Length && strings.Trim(text, settings.Alphabet) == ""
}

// HashSent binds a sent code to a person and to what it is good for. The salt
// makes each hash another; a code is too short for that to keep it from whoever
// reads the ledger and tries them all, so a code lives for minutes only.
func HashSent(user, purpose, salt, code string) string {
	sum := sha256.Sum256([]byte("otpgate sent\x00" + user + "\x00" + purpose + "\x00" + salt + "\x00" + code))
	return hex.EncodeToString(sum[:])
}

// Carry makes of a code that was sent what the ledger keeps of it until a
// later login brings it.
func Carry(user, purpose, code string, expires time.Time) ledger.Carried {
	salt := rand.Text()
	return ledger.Carried{For: purpose, Salt: salt, Hash: HashSent(user, purpose, salt, code), Expires: expires.UTC().Truncate(time.Second)}
}

// maxCarried bounds the codes that wait for one person.
const maxCarried = 8

// AddCarried puts a code into entry, in the place of those that are no longer
// good and, where there are too many, of the oldest.
func AddCarried(entry *ledger.Entry, carried ledger.Carried, now time.Time) {
	entry.Carried = slices.DeleteFunc(entry.Carried, func(c ledger.Carried) bool { return !now.Before(c.Expires) })
	entry.Carried = append(entry.Carried, carried)
	trimCarried(entry)
}

// Waits says whether a code that was sent for purpose can still be given.
func Waits(entry ledger.Entry, purpose string, now time.Time) bool {
	return slices.ContainsFunc(entry.Carried, func(c ledger.Carried) bool { return c.For == purpose && now.Before(c.Expires) })
}

// VerifyCarried checks a code that was sent for a later login. A right one is
// taken out of entry, and with it all others for the same purpose: it is good
// once, and those that were sent before it are not wanted any more.
func VerifyCarried(user, purpose, code string, now time.Time, entry *ledger.Entry) Outcome {
	found := 0
	for _, c := range entry.Carried {
		if c.For == purpose && now.Before(c.Expires) {
			found |= subtle.ConstantTimeCompare([]byte(c.Hash), []byte(HashSent(user, purpose, c.Salt, code)))
		}
	}
	if found == 0 {
		return Wrong
	}
	entry.Carried = slices.DeleteFunc(entry.Carried, func(c ledger.Carried) bool { return c.For == purpose })
	return Right
}
