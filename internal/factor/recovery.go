package factor

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// RecoveryCodes is how many recovery codes are made at once.
const RecoveryCodes = 10

// recoveryAlphabet has 32 characters, none of which looks like another. A
// code of 16 of them has 80 bits, so its plain hash cannot be searched.
const recoveryAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const (
	recoveryGroups = 4
	recoveryGroup  = 4
)

// What a recovery code is made of: so many bytes, in groups of the characters
// with a dash between them.
const (
	RecoveryLength     = recoveryGroups*(recoveryGroup+1) - 1
	RecoveryGroup      = recoveryGroup
	RecoveryCharacters = recoveryAlphabet
)

// NewRecovery makes a person's recovery codes and the hashes to keep of them.
func NewRecovery(user string) (codes []string, recovery account.Recovery) {
	for range RecoveryCodes {
		code := newRecoveryCode()
		codes = append(codes, code)
		recovery.Hashes = append(recovery.Hashes, hashRecovery(user, code))
	}
	return codes, recovery
}

func newRecoveryCode() string {
	var random [recoveryGroups * recoveryGroup]byte
	rand.Read(random[:]) // never fails, see its documentation
	var code strings.Builder
	for i, b := range random {
		if i > 0 && i%recoveryGroup == 0 {
			code.WriteByte('-')
		}
		code.WriteByte(recoveryAlphabet[b%32])
	}
	return code.String()
}

// hashRecovery binds a code to its person: under another name it is worth
// nothing, and the hash itself is no code.
func hashRecovery(user, code string) string {
	sum := sha256.Sum256([]byte("otpgate recovery\x00" + user + "\x00" + code))
	return hex.EncodeToString(sum[:])
}

// IsRecovery says whether text has the exact form of a recovery code.
func IsRecovery(text string) bool {
	groups := strings.Split(text, "-")
	if len(groups) != recoveryGroups {
		return false
	}
	for _, group := range groups {
		if len(group) != recoveryGroup || strings.Trim(group, recoveryAlphabet) != "" {
			return false
		}
	}
	return true
}

// VerifyRecovery checks a recovery code of the person. A right one is marked
// as spent in entry.
func VerifyRecovery(person account.Person, code string, entry *ledger.Entry) Outcome {
	if !IsRecovery(code) {
		return Wrong
	}
	hash, found := hashRecovery(person.User, code), 0
	for _, kept := range person.Recovery.Hashes {
		found |= subtle.ConstantTimeCompare([]byte(kept), []byte(hash))
	}
	switch {
	case found == 0:
		return Wrong
	case slices.Contains(entry.Spent, hash):
		return Used
	}
	entry.Spent = append(entry.Spent, hash)
	return Right
}

// RecoveryLeft counts the person's recovery codes that are still good.
func RecoveryLeft(person account.Person, entry ledger.Entry) int {
	left := 0
	for _, hash := range person.Recovery.Hashes {
		if !slices.Contains(entry.Spent, hash) {
			left++
		}
	}
	return left
}
