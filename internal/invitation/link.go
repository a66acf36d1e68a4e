package invitation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// stateOf is what has become of an invitation, whoever's.
func stateOf(link ledger.Invitation, now time.Time) State {
	switch {
	case link.Purpose != enroll:
		return Unknown
	case !link.Done.IsZero():
		return Used
	case !link.Cancelled.IsZero():
		return Cancelled
	case !now.Before(link.Ends):
		return Expired
	}
	return Ready
}

// stateWith is the same in the light of what the person has become since.
func stateWith(link ledger.Invitation, person account.Person, now time.Time) State {
	state := stateOf(link, now)
	switch {
	case state == Cancelled && !person.Enabled:
		return Disabled // which is why, or else no new one is of any use
	case state != Ready:
		return state
	case !person.Enabled:
		return Disabled
	case link.Replace && link.Of != gate.EnrollmentOf(person):
		return Overtaken
	}
	return Ready
}

// IsReady says whether a link is good as far as the ledger knows, without a look at what
// has become of the person.
func IsReady(link ledger.Invitation, now time.Time) bool { return stateOf(link, now) == Ready }

// findReady is a good invitation. For one that is over nobody's file is locked: whoever
// has such a link could hold up those who change that file.
func (i Invitations) findReady(ctx context.Context, key ledger.Key, known bool, remote string) (ledger.Invitation, error) {
	one, err := i.find(ctx, key, known, remote)
	if err != nil {
		return ledger.Invitation{}, err
	}
	return one, stateOf(one, i.now()).err()
}

// find is the invitation of a key.
func (i Invitations) find(ctx context.Context, key ledger.Key, known bool, remote string) (ledger.Invitation, error) {
	return i.Find(ctx, key, known, remote, enroll)
}

// byLink is what the log says of whoever comes by a link.
const byLink = "link"

// good has the secret file of a good invitation changed. What was looked at before may
// be over by now.
func (i Invitations) good(ctx context.Context, key ledger.Key, user string, change func(*account.Person, ledger.Invitation) error) error {
	dir, err := i.place().Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Change(user, func(person *account.Person) error {
		if err := ctx.Err(); err != nil {
			return err // it ended while the file's lock was waited for
		}
		if _, err := dir.Load(user); errors.Is(err, account.ErrNotFound) {
			return ErrRemoved
		}
		entry, err := i.People.Ledger.View(ctx, key)
		if err != nil {
			return fmt.Errorf("find the invitation: %w", err)
		}
		if state := stateWith(entry.Invitation, *person, i.now()); state != Ready {
			return state.err()
		}
		return change(person, entry.Invitation)
	})
}

// change changes an invitation, which must be good and as it was seen by check.
func (i Invitations) change(ctx context.Context, key ledger.Key, check func(ledger.Invitation) error, change func(*ledger.Invitation)) error {
	now := i.now()
	return i.People.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
		if state := stateOf(entry.Invitation, now); state != Ready {
			return state.err()
		}
		if err := check(entry.Invitation); err != nil {
			return err
		}
		change(&entry.Invitation)
		return nil
	})
}
