package invitation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/ledger"
)

// What links for people who are enrolled have in common with invitations, see package
// selfservice: their form, where they are kept, and how wrong ones count.

// NewSecret draws what makes a link or a browser session secret.
func NewSecret(random io.Reader) (string, error) { return newSecret(random) }

// Hash is how a secret is kept, and Same compares two hashes.
func Hash(secret string) string { return hash(secret) }

// Same compares hashes, in the same time whatever they are.
func Same(a, b string) bool { return same(a, b) }

// SessionOf is what a browser gets, of the link with that key.
func SessionOf(key ledger.Key, secret string) string { return sessionOf(key, secret) }

// ParseSession gives the link that a browser session is of, and the hash of its secret.
func ParseSession(session string) (key ledger.Key, hashed string, known bool) {
	return parseSession(session)
}

// PersonKey is where the names of a person's links are.
func PersonKey(user string) ledger.Key { return personKey(user) }

// Find is the link of a key that is for that purpose. What was never one, or is none any
// more, counts against where it came from.
func (i Invitations) Find(ctx context.Context, key ledger.Key, known bool, remote, purpose string) (ledger.Invitation, error) {
	until, err := i.People.SourceLocked(ctx, remote)
	if err != nil {
		return ledger.Invitation{}, err
	}
	if !until.IsZero() {
		return ledger.Invitation{}, LockedError{until}
	}
	var entry ledger.Entry
	if known {
		if entry, err = i.People.Ledger.View(ctx, key); err != nil {
			return ledger.Invitation{}, fmt.Errorf("find the link: %w", err)
		}
	}
	if entry.Invitation.Purpose == purpose {
		return entry.Invitation, nil
	}
	i.People.Audit.Write(audit.Record{Remote: remote, Verdict: "denied", Rule: "link", By: byLink, Reason: ErrUnknown.Error()})
	return ledger.Invitation{}, errors.Join(ErrUnknown, i.People.CountSource(ctx, remote))
}

// DropKey takes the unconfirmed device with the key of that fingerprint from the person.
func DropKey(person *account.Person, key string) { dropKey(person, key) }

// DropOver takes the unconfirmed devices from a person's secret file that links showed
// which are over.
func (i Invitations) DropOver(ctx context.Context, user string, links []ledger.InvitationLink) error {
	return i.dropOver(ctx, user, links, i.now())
}

// Shown finds the device whose key the browser of a link was shown.
func Shown(person account.Person, link ledger.Invitation) (at int, err error) {
	return shown(person, link)
}

// SetupOf is what a person needs to set a device up, until then.
func (i Invitations) SetupOf(person account.Person, f account.Factor, session string, ends time.Time) (Setup, error) {
	return i.setup(person, f, ledger.Invitation{Replace: true, BrowserSessionEnds: ends}, session)
}
