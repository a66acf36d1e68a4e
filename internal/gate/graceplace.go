package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// gracePlace is where the beginning of a person's grace is noted.
type gracePlace struct {
	key ledger.Key
	// stranger, if set, is the person among those whom the system does not know.
	stranger string
	// had says that the name as it is had codes before.
	had bool
}

// maxStrangers bounds for how many names that the system does not know a grace is
// noted. They are in one entry, so that made-up names leave no files behind, in
// stacks that go on after a wrong password. None is forgotten: that would be
// another grace.
const maxStrangers = 1000

// strangers is no key of a person: no name begins with a tilde.
var strangers = ledger.Key{Kind: ledger.User, Name: "~strangers"}

// gracePlace finds it. Whom the system does not know has one for all cases of the
// name, as likeName says why: each would be another grace.
func (g *Gate) gracePlace(ctx context.Context, person account.Person) (gracePlace, error) {
	_, known, err := g.Names.Canonical(person.User)
	if err != nil {
		return gracePlace{}, blame{"name-service", err}
	}
	_, notFound := g.Accounts.Load(person.User)
	if known || notFound == nil {
		return gracePlace{key: ledger.UserKey(person.User)}, nil
	}
	lower := person
	lower.User = strings.ToLower(person.User)
	for _, one := range []account.Person{person, lower} {
		entry, err := g.Ledger.View(ctx, ledger.UserKey(one.User))
		if err != nil {
			return gracePlace{}, blame{"ledger", fmt.Errorf("look up the grace: %w", err)}
		}
		if hadCodes(entry) {
			return gracePlace{key: ledger.UserKey(one.User), had: true}, nil
		}
	}
	sum := sha256.Sum256([]byte("otpgate stranger\x00" + lower.User))
	return gracePlace{key: strangers, stranger: hex.EncodeToString(sum[:8])}, nil
}

// read is what the entry knows of the person's grace, and whether there is room
// for one.
func (p gracePlace) read(entry ledger.Entry) (known ledger.Entry, room bool) {
	if p.stranger == "" {
		return entry, true
	}
	use, found := entry.Used[p.stranger]
	if found {
		known.Grace = time.Unix(use.Step, 0)
	}
	return known, found || len(entry.Used) < maxStrangers
}

// begin notes that the grace began.
func (p gracePlace) begin(entry *ledger.Entry, now time.Time) {
	if p.stranger == "" {
		entry.Grace = now
		return
	}
	if entry.Used == nil {
		entry.Used = map[string]ledger.Use{}
	}
	entry.Used[p.stranger] = ledger.Use{Step: now.Unix()}
}
