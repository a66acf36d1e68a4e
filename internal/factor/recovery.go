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
		code := NewRecoveryCode()
		codes = append(codes, code)
		recovery.Hashes = append(recovery.Hashes, hashRecovery(user, code))
	}
	return codes, recovery
}

// NewRecoveryCode draws one code of that form.
func NewRecoveryCode() string {
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

// A scratch code is a recovery code that was made elsewhere and brought along:
// eight digits, as authenticator modules give them out. It has 27 bits, so who
// reads the secret file can search its hash; that file has the app's key in it
// anyway. Who guesses at a prompt is held up by the attempts.
const (
	ScratchDigits     = 8
	ScratchCharacters = "0123456789"
	// ScratchLength and ScratchGroup are of the form with a dash in the middle,
	// by which it can be told from the end of a password and a shorter code.
	ScratchLength = ScratchDigits + 1
	ScratchGroup  = ScratchDigits / 2
)

// Scratch returns the hash to keep of a scratch code of the user's. The same
// code has the same hash: brought along again, what was spent stays spent.
func Scratch(user, code string) (hash string, ok bool) {
	digits, ok := scratchDigits(code)
	if !ok {
		return "", false
	}
	sum := sha256.Sum256([]byte("otpgate scratch\x00" + user + "\x00" + digits))
	return account.ScratchPrefix + hex.EncodeToString(sum[:]), true
}

// scratchDigits takes the dash out. What is remembered as spent has no dash, so
// that one spelling is no second code.
func scratchDigits(text string) (digits string, ok bool) {
	if len(text) == ScratchLength && text[ScratchGroup] == '-' {
		text = text[:ScratchGroup] + text[ScratchGroup+1:]
	}
	return text, isDigits(text, ScratchDigits)
}

// HasScratch says whether the person brought scratch codes along, spent or not.
func HasScratch(person account.Person) bool {
	return slices.ContainsFunc(person.Recovery.Hashes, isScratchHash)
}

// HasOwnRecovery says whether the person was given recovery codes here.
func HasOwnRecovery(person account.Person) bool {
	return slices.ContainsFunc(person.Recovery.Hashes, func(hash string) bool { return !isScratchHash(hash) })
}

func isScratchHash(hash string) bool { return strings.HasPrefix(hash, account.ScratchPrefix) }

// IsScratch says whether text has the form of a scratch code, with or without
// the dash.
func IsScratch(text string) bool {
	_, ok := scratchDigits(text)
	return ok
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

// IsRecoveryOf says whether text has the form of a recovery code that the person
// may have, one that was brought along included.
func IsRecoveryOf(person account.Person, text string) bool {
	return IsRecovery(text) || HasScratch(person) && IsScratch(text)
}

// VerifyRecovery checks a recovery code of the person. A right one is marked
// as spent in entry.
func VerifyRecovery(person account.Person, code string, entry *ledger.Entry) Outcome {
	hash, isScratch := Scratch(person.RecoveryUser(), code)
	switch {
	case IsRecovery(code):
		hash = hashRecovery(person.RecoveryUser(), code)
	case !isScratch:
		return Wrong
	}
	found := 0
	for _, kept := range person.Recovery.Hashes {
		found |= subtle.ConstantTimeCompare([]byte(kept), []byte(hash))
	}
	switch {
	case found == 0:
		return Wrong
	case slices.Contains(entry.UsedHashes, hash):
		return Used
	}
	entry.UsedHashes = append(entry.UsedHashes, hash)
	return Right
}

// RecoveryLeft counts the person's recovery codes that are still good.
func RecoveryLeft(person account.Person, entry ledger.Entry) int {
	left := 0
	for _, hash := range person.Recovery.Hashes {
		if !slices.Contains(entry.UsedHashes, hash) {
			left++
		}
	}
	return left
}
