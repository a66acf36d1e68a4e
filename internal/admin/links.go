package admin

import (
	"context"
	"fmt"
	"slices"

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

// Remove deletes the person's secret file. Links go first: killed in between, it leaves
// none behind that is good.
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
	return dir.Remove(user)
}
