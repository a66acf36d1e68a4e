package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// endLinks forgets the person's links, so that none is good, and returns the
// fingerprints of the keys that they showed. The name may be another person's one day,
// who must not be enrolled by whoever has an old link.
func (g People) endLinks(ctx context.Context, user string) (keys []string, err error) {
	person := ledger.Key{Kind: ledger.Invited, Name: user}
	index, err := g.Ledger.View(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("end the links of %q: %w", user, err)
	}
	for _, link := range index.Links {
		var key string
		err := g.Ledger.Update(ctx, ledger.Key{Kind: ledger.Link, Name: link.Name}, func(entry *ledger.Entry) error {
			key, *entry = entry.Invitation.Key, ledger.Entry{}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("end the links of %q: %w", user, err)
		}
		if key != "" {
			keys = append(keys, key)
		}
	}
	err = g.Ledger.Update(ctx, person, func(entry *ledger.Entry) error {
		entry.Links = slices.DeleteFunc(slices.Clone(entry.Links), func(link ledger.InvitationLink) bool { return slices.Contains(index.Links, link) })
		if len(entry.Links) == 0 {
			entry.Sends = ledger.Sends{}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("end the links of %q: %w", user, err)
	}
	return keys, nil
}

// IsShown says whether a factor has the key with that fingerprint, which a link showed
// to somebody of that name, and was never confirmed.
func IsShown(user string, f account.Factor, key string) bool {
	return key != "" && f.Confirmed.IsZero() && f.Unreadable() == nil && factor.Fingerprint(user, f) == key
}

// CancelLinks has the person's links be good no longer, and the browser sessions by them over. It
// returns how many were to the page of somebody enrolled: invitations are not counted.
func (g People) CancelLinks(ctx context.Context, user string) (pages int, err error) {
	return g.eachLink(ctx, user, func(link ledger.Key, now time.Time) error {
		return g.Ledger.Update(ctx, link, func(entry *ledger.Entry) error {
			if isUncancelled(entry.Invitation) {
				entry.Invitation.Cancelled = now
			}
			return nil
		})
	})
}

func isUncancelled(link ledger.Invitation) bool {
	return link != (ledger.Invitation{}) && link.Cancelled.IsZero()
}

// OpenPages is how many CancelLinks would return. It changes nothing.
func (g People) OpenPages(ctx context.Context, user string) (pages int, err error) {
	return g.eachLink(ctx, user, func(ledger.Key, time.Time) error { return nil })
}

// eachLink does something with each link of a person that is not cancelled, and counts
// those to the page of somebody enrolled that were good.
func (g People) eachLink(ctx context.Context, user string, do func(link ledger.Key, now time.Time) error) (pages int, err error) {
	index, err := g.Ledger.View(ctx, ledger.Key{Kind: ledger.Invited, Name: user})
	now := g.Now().UTC()
	for _, link := range index.Links {
		key := ledger.Key{Kind: ledger.Link, Name: link.Name}
		var entry ledger.Entry
		if entry, err = g.Ledger.View(ctx, key); err == nil && isUncancelled(entry.Invitation) {
			err = do(key, now)
		}
		if err != nil {
			break
		}
		if isOpenPage(entry.Invitation, now) {
			pages++
		}
	}
	if err != nil {
		return pages, fmt.Errorf("end the links of %q: %w", user, err)
	}
	return pages, nil
}

// ManagePurpose is that of the links to the page of somebody enrolled.
const ManagePurpose = "manage"

func isOpenPage(link ledger.Invitation, now time.Time) bool {
	ends := link.Ends
	if !link.Done.IsZero() {
		ends = link.BrowserSessionEnds
	}
	return link.Purpose == ManagePurpose && link.Cancelled.IsZero() && now.Before(ends)
}

// Remove deletes the person's secret file. Links go first: killed in between, it leaves
// none behind that is good. They go once more when the file has gone: whoever makes one
// meanwhile looks afterwards whether there still is a file.
func (g People) Remove(ctx context.Context, user string) error {
	if err := account.CheckName(user); err != nil {
		return err
	}
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := g.endLinks(ctx, user); err != nil {
		return fmt.Errorf("%s is not removed: %w", dir.Path(user), err)
	}
	if err := dir.Remove(user); err != nil {
		return err
	}
	if _, err := g.endLinks(ctx, user); err != nil {
		return fmt.Errorf("%s is removed, but: %w", dir.Path(user), err)
	}
	return nil
}
