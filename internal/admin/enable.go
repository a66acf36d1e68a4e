package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/safefile"
)

// ErrNotEnrolled is wrapped by the error for a person who has no confirmed
// factor or is disabled.
var ErrNotEnrolled = errors.New("not enrolled")

// edit changes the secret file of a person who has one.
func (g People) edit(user string, change func(*account.Person) error) error {
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Change(user, func(person *account.Person) error {
		// Change makes up a person who is missing. Under its lock nobody comes
		// or goes.
		if _, err := dir.Load(user); err != nil {
			return err
		}
		return change(person)
	})
}

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// Enable makes the person's factors count, or no longer. Who is disabled loses
// the recovery codes (CVE-2022-36071) and what the ledger would let in: logins
// that are remembered, codes that were sent, links and browser sessions by them. It returns the person as it was
// before, and whether that was otherwise.
func (g People) Enable(ctx context.Context, user string, enabled bool) (before account.Person, changed bool, err error) {
	err = g.edit(user, func(person *account.Person) error {
		before = *person
		if person.Enabled == enabled && (enabled || len(person.Recovery.Hashes) == 0) {
			return errUnchanged
		}
		person.Enabled = enabled
		if !enabled {
			person.Recovery = account.Recovery{}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return before, false, err
	}
	changed = err == nil
	if enabled && !changed {
		return before, false, nil
	}
	// Also who is enabled again: a login that was under way when the person was
	// disabled may have been remembered after that.
	err = g.Ledger.Update(ctx, ledger.UserKey(user), func(entry *ledger.Entry) error {
		entry.Sessions, entry.Carried = nil, nil
		return nil
	})
	if err != nil {
		return before, changed, fmt.Errorf("end the sessions of %q: %w", user, err)
	}
	// Behind the file: whoever makes a link meanwhile looks at that afterwards.
	_, err = g.CancelLinks(ctx, user)
	return before, changed, err
}

// NewRecovery gives the person new recovery codes; old ones become worthless.
// Who is not enrolled gets none (CVE-2022-36071).
func (g People) NewRecovery(user string) (codes []string, err error) {
	err = g.edit(user, func(person *account.Person) error {
		switch {
		case !person.Enabled:
			return fmt.Errorf("user %q: %w: disabled", user, ErrNotEnrolled)
		case !person.Enrolled():
			return fmt.Errorf("user %q: %w: no confirmed factor", user, ErrNotEnrolled)
		}
		codes, person.Recovery = factor.NewRecovery(user)
		return nil
	})
	if errors.As(err, new(safefile.PlacedError)) {
		err = fmt.Errorf("%w. So the recovery codes of before are worthless: once the disk is in order, run this command again", err)
	}
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// Forgotten is what Unlock took away.
type Forgotten struct {
	Attempts ledger.Attempts
	Sent     int // how many codes that were sent counted
}

// Unlock forgets the person's wrong codes and how many codes were sent, and
// returns them.
func (g People) Unlock(ctx context.Context, user string) (was Forgotten, err error) {
	if err := account.CheckName(user); err != nil {
		return Forgotten{}, err
	}
	err = g.Ledger.Update(ctx, ledger.UserKey(user), func(entry *ledger.Entry) error {
		was = g.Forgets(*entry)
		entry.Attempts, entry.Sends, entry.Peers = ledger.Attempts{}, ledger.Sends{}, nil
		return nil
	})
	return was, err
}

// Forgets is what Unlock would take from entry.
func (g People) Forgets(entry ledger.Entry) (was Forgotten) {
	was.Attempts = gate.CountedOfAll(entry)
	was.Sent, _ = g.SentLately(entry)
	for _, peer := range g.PeersLately(entry) {
		was.Sent += peer.SentCodes
	}
	return was
}

// UnlockSource forgets the wrong codes that came from an address or host, as that
// client says, or this machine for "". It returns them with the name that they were
// counted under.
func (g People) UnlockSource(ctx context.Context, client, remote string) (name string, was ledger.Attempts, err error) {
	key, found := gate.SourceKey(client, remote)
	if !found {
		return "", ledger.Attempts{}, fmt.Errorf("source %q: expected an address, or a host name of up to 255 bytes", remote)
	}
	err = g.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
		was = gate.CountedOfAll(*entry)
		entry.Attempts, entry.Peers = ledger.Attempts{}, nil
		return nil
	})
	return key.Name, was, err
}

// UnlockClient forgets the wrong codes that came by a client, whoever's, and how many
// codes it had sent, and returns them.
func (g People) UnlockClient(ctx context.Context, client string) (was Forgotten, err error) {
	err = g.Ledger.Update(ctx, gate.ClientKey(client), func(entry *ledger.Entry) error {
		was = Forgotten{Attempts: gate.CountedOfAll(*entry), Sent: entry.Sends.Count}
		for _, peer := range entry.Peers {
			was.Sent += peer.Sends.Count
		}
		entry.Attempts, entry.Sends, entry.Peers = ledger.Attempts{}, ledger.Sends{}, nil
		return nil
	})
	return was, err
}
