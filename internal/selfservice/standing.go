package selfservice

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate"
)

// standingOf names all of a person by which somebody can have entered, as it is: a browser session
// does not outlive the device, the recovery codes or the mailbox that an admin replaced
// because they were stolen.
func standingOf(person account.Person) string {
	return hashOf(append([]string{gate.EnrollmentOf(person), addressOf(person)}, person.Recovery.Hashes...)...)
}

// addressOf names where links go. A link does not outlive that either.
func addressOf(person account.Person) string { return hashOf("address", person.Email) }

func hashOf(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write([]byte(part + "\x00"))
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
