package selfservice

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate"
)

// standingOf names all of a person by which somebody can have entered, as it is: neither a
// link nor a browser session outlives the device, the recovery codes or the mailbox that an admin
// replaced because they were stolen, whenever it was made.
func standingOf(person account.Person) string {
	sum := sha256.New()
	for _, part := range append([]string{gate.EnrollmentOf(person), person.Email}, person.Recovery.Hashes...) {
		sum.Write([]byte(part + "\x00"))
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
