package invitation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Ended is how many links were good, or had a page open, that are so no longer.
type Ended struct {
	Invitations int
	// Pages are those of somebody enrolled.
	Pages int
}

// Cancel has all of the person's links be good no longer, and the pages over that they
// opened.
func (i Invitations) Cancel(ctx context.Context, user string) (cancelled Ended, err error) {
	// What cannot be taken out of the secret file keeps no page open.
	cancelled.Invitations, err = i.Withdraw(ctx, user)
	pages, closing := i.People.CancelLinks(ctx, user)
	cancelled.Pages = pages
	return cancelled, errors.Join(err, closing)
}

// Withdraw has the person's invitations be good no longer, and returns how many were. A key
// that was shown by one of them goes too.
func (i Invitations) Withdraw(ctx context.Context, user string) (cancelled int, err error) {
	if err := account.CheckName(user); err != nil {
		return 0, err
	}
	index, err := i.People.Ledger.View(ctx, personKey(user))
	if err != nil {
		return 0, fmt.Errorf("cancel the links of %q: %w", user, err)
	}
	now := i.now()
	var keys []string
	for _, link := range index.Links {
		was, err := i.cancel(ctx, link, now, nobodys)
		if err != nil {
			return cancelled, fmt.Errorf("cancel the links of %q: %w", user, err)
		}
		if stateOf(was, now) == Ready {
			cancelled++
		}
		if was.Key != "" {
			keys = append(keys, was.Key)
		}
	}
	return cancelled, i.dropKeys(user, keys)
}

// cancel ends one link, unless it has ended or is spared, and returns what it was. One that
// is used is ended too: it may be given back, see [Invitations.Confirm].
func (i Invitations) cancel(ctx context.Context, link ledger.InvitationLink, now time.Time, spared func(ledger.Invitation) bool) (was ledger.Invitation, err error) {
	err = i.People.Ledger.Update(ctx, ledger.Key{Kind: ledger.Link, Name: link.Name}, func(entry *ledger.Entry) error {
		was = entry.Invitation
		if state := stateOf(was, now); !spared(was) && (state == Ready || state == Used && was.Cancelled.IsZero()) {
			entry.Invitation.Cancelled = now
		}
		return nil
	})
	return was, err
}

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// dropKeys takes what was shown and never confirmed out of the person's secret file.
func (i Invitations) dropKeys(user string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	dir, err := i.place().Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	err = dir.Change(user, func(person *account.Person) error {
		before := len(person.Factors)
		for _, key := range keys {
			dropKey(person, key)
		}
		if len(person.Factors) == before {
			return errUnchanged
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// dropKey takes the unconfirmed factor with that fingerprint from the person.
func dropKey(person *account.Person, key string) {
	person.Factors = slices.DeleteFunc(slices.Clone(person.Factors), func(f account.Factor) bool { return isShown(*person, f, key) })
}

func isShown(person account.Person, f account.Factor, key string) bool {
	return admin.IsShown(person.User, f, key)
}

// Listed is an invitation as an admin sees it.
type Listed struct {
	User      string    `json:"user"`
	State     string    `json:"state"`
	Factor    string    `json:"factor"`
	Replace   bool      `json:"replace"`
	Made      time.Time `json:"made"`
	Ends      time.Time `json:"ends"`
	Opened    time.Time `json:"opened,omitzero"`
	Done      time.Time `json:"done,omitzero"`
	Cancelled time.Time `json:"cancelled,omitzero"`
}

// List is what is known of the links of everybody who has a secret file, in the order
// of names and for each person in that of making.
func (i Invitations) List(ctx context.Context) (all []Listed, err error) {
	names, err := i.names()
	if err != nil {
		return nil, err
	}
	for _, user := range names {
		links, err := i.ListOf(ctx, user)
		if err != nil {
			return nil, err
		}
		all = append(all, links...)
	}
	return all, nil
}

// ListOf is what is known of the links of one person, in the order of making.
func (i Invitations) ListOf(ctx context.Context, user string) (links []Listed, err error) {
	now := i.now()
	all, err := i.linksOf(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, link := range all {
		one := link.Invitation
		state, err := i.stateNow(one, now)
		if err != nil {
			return nil, fmt.Errorf("list the links of %q: %w", user, err)
		}
		if state == Used {
			one.Cancelled = time.Time{} // of a link that was over already
		}
		links = append(links, Listed{
			User: user, State: state.String(), Factor: one.Factor, Replace: one.Replace,
			Made: one.Made, Ends: one.Ends, Opened: one.Opened, Done: one.Done, Cancelled: one.Cancelled,
		})
	}
	return links, nil
}

// named is an invitation, and where it is.
type named struct {
	ledger.Invitation
	key ledger.Key
}

// linksOf are all links of one person that are known, in the order of making.
func (i Invitations) linksOf(ctx context.Context, user string) (links []named, err error) {
	index, err := i.People.Ledger.View(ctx, personKey(user))
	if err != nil {
		return nil, fmt.Errorf("look up the links of %q: %w", user, err)
	}
	for _, link := range index.Links {
		key := ledger.Key{Kind: ledger.Link, Name: link.Name}
		entry, err := i.People.Ledger.View(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("look up the links of %q: %w", user, err)
		}
		if entry.Invitation.Purpose == enroll { // else it is forgotten already
			links = append(links, named{entry.Invitation, key})
		}
	}
	return links, nil
}

// stateNow is the state of an invitation with what the secret file says.
func (i Invitations) stateNow(link ledger.Invitation, now time.Time) (State, error) {
	state := stateOf(link, now)
	if state != Ready && state != Cancelled {
		return state, nil
	}
	person, err := i.People.Accounts.Load(link.User)
	switch {
	case errors.Is(err, account.ErrNotFound) && state == Ready:
		return Removed, nil
	case state == Cancelled && err != nil:
		return state, nil
	}
	if err != nil {
		return Unknown, err
	}
	return stateWith(link, person, now), nil
}

func (i Invitations) names() ([]string, error) {
	dir, err := i.place().Open()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Names()
}

// keptLinks is how many links of one person and purpose are known that are over. The entry that
// names them has a bound, and logins have links made for as long as no mail can be sent. Those
// to self-service, which strangers can have mailed, push no invitation out.
const keptLinks = 20

// Forget takes out of the ledger what it knows of links that ended a day ago, or that are
// over and older than the last few of the person, and out of secret files what links showed that are over and nobody confirmed. What cannot be done
// for one person keeps it from nobody else.
func (i Invitations) Forget(ctx context.Context) error {
	names, err := i.names()
	if err != nil {
		return err
	}
	var failed error
	for _, user := range names {
		err := i.ForgetOf(ctx, user)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// ForgetOf does that for one person.
func (i Invitations) ForgetOf(ctx context.Context, user string) error {
	now := i.now()
	index, err := i.People.Ledger.View(ctx, personKey(user))
	if err == nil {
		err = i.dropOver(ctx, user, index.Links, now)
	}
	if err == nil {
		err = i.forget(ctx, user, index.Links, now)
	}
	if err != nil {
		return fmt.Errorf("forget the links of %q: %w", user, err)
	}
	return nil
}

// dropOver drops the keys of links that are over. One that counts is none of them.
func (i Invitations) dropOver(ctx context.Context, user string, links []ledger.InvitationLink, now time.Time) error {
	var keys []string
	for _, link := range links {
		entry, err := i.People.Ledger.View(ctx, ledger.Key{Kind: ledger.Link, Name: link.Name})
		if err != nil {
			return err
		}
		if one := entry.Invitation; one.Key != "" && !mayConfirm(one, now) {
			keys = append(keys, one.Key)
		}
	}
	return i.dropKeys(user, keys)
}

// mayConfirm says whether what a link showed may still come to count, or does. A link of
// somebody enrolled is used when the browser session by it begins.
func mayConfirm(link ledger.Invitation, now time.Time) bool {
	if link.Purpose != enroll {
		return isOpened(link, now)
	}
	return stateOf(link, now) == Ready || !link.Done.IsZero()
}

// isOpened says whether somebody is on the page by a link.
func isOpened(link ledger.Invitation, now time.Time) bool {
	return link.Cancelled.IsZero() && now.Before(link.BrowserSessionEnds)
}

// forget does it for some links of one person. A link goes before its name does, so
// that none is left which nobody can find.
func (i Invitations) forget(ctx context.Context, user string, links []ledger.InvitationLink, now time.Time) error {
	var gone []string
	kept := map[string]int{}
	for _, link := range slices.Backward(links) {
		key := ledger.Key{Kind: ledger.Link, Name: link.Name}
		if now.Before(link.Ends.Add(ledger.LinkKept)) {
			entry, err := i.People.Ledger.View(ctx, key)
			if err != nil {
				return err
			}
			if kept[entry.Invitation.Purpose]++; kept[entry.Invitation.Purpose] <= keptLinks {
				continue
			}
		}
		good := false
		err := i.People.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
			if good = IsReady(entry.Invitation, now) || isOpened(entry.Invitation, now); !good {
				*entry = ledger.Entry{}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !good {
			gone = append(gone, link.Name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return i.People.Ledger.Update(ctx, personKey(user), func(entry *ledger.Entry) error {
		entry.Links = slices.DeleteFunc(entry.Links, func(link ledger.InvitationLink) bool { return slices.Contains(gone, link.Name) })
		if len(entry.Links) == 0 && now.Sub(entry.Sends.Last) > day {
			entry.Sends = ledger.Sends{}
		}
		return nil
	})
}
