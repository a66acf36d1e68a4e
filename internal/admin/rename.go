package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Renamed is what Rename brought to the new name.
type Renamed struct {
	Person account.Person
	// RecoveryLeft counts the recovery codes that are good.
	RecoveryLeft int
	// NoFile says that there was no secret file: what the ledger knows moved alone.
	NoFile bool
}

// ErrElsewhere is wrapped by the error for a former name whose devices went to a
// third: its file came back, and what was used since is not known of it.
var ErrElsewhere = errors.New("it went to another name when this one was renamed before")

// Rename gives the devices and recovery codes of the user from to the name to.
// What was used stays used, wrong codes go on counting, remembered logins, links and
// codes that are on their way end, and nothing of it is good under the former
// name again. Killed at any point, it leaves to without a login that is let in,
// and the same Rename goes on.
//
// The order is what makes it so: the ledger's entry of to knows all before that
// of from forgets, that of from lets nothing pass before its file goes, and the
// file of to, which nobody believes until then, is opened last.
func (g People) Rename(ctx context.Context, from, to string) (Renamed, error) {
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return Renamed{}, err
	}
	defer dir.Close()
	var done Renamed
	known := func(person account.Person) (bool, error) {
		entry, err := g.Ledger.View(ctx, ledger.UserKey(from))
		return factor.Knows(from, person, entry), err
	}
	may := func(person account.Person) error {
		entry, err := g.Ledger.View(ctx, ledger.UserKey(from))
		if err != nil {
			return err
		}
		if what, ok := factor.Elsewhere(from, entry, person); ok {
			return fmt.Errorf("user %q: %s: %w", from, what, ErrElsewhere)
		}
		return nil
	}
	done.Person, err = dir.Rename(from, to, known, may, func(person *account.Person) error {
		after, err := g.moveEntry(ctx, from, *person)
		done.RecoveryLeft = factor.RecoveryLeft(*person, after)
		if err != nil {
			return err
		}
		return g.leaveLinks(ctx, from, person)
	})
	if errors.Is(err, account.ErrNotFound) {
		return g.renameUnenrolled(ctx, from, to, err)
	}
	if err != nil {
		return Renamed{}, err
	}
	return done, nil
}

// renameUnenrolled takes along what the ledger counts for somebody without a secret
// file: under the new name grace would begin once more, and wrong codes be forgotten.
// none is the error if there is nothing.
func (g People) renameUnenrolled(ctx context.Context, from, to string, none error) (Renamed, error) {
	was, err := g.Ledger.View(ctx, ledger.UserKey(from))
	if err != nil {
		return Renamed{}, err
	}
	counts := was
	counts.Used, counts.UsedHashes, counts.Sessions, counts.Carried = nil, nil, nil, nil
	if reflect.DeepEqual(counts, ledger.Entry{}) {
		return Renamed{}, none
	}
	person := account.Person{User: to}
	if _, err := g.moveEntry(ctx, from, person); err != nil {
		return Renamed{}, err
	}
	return Renamed{Person: person, NoFile: true}, g.leaveLinks(ctx, from, &person)
}

// leaveLinks ends the links of both names, and takes what they showed from the person.
func (g People) leaveLinks(ctx context.Context, from string, person *account.Person) error {
	for _, name := range []string{from, person.User} {
		keys, err := g.endLinks(ctx, name)
		if err != nil {
			return err
		}
		person.Factors = slices.DeleteFunc(slices.Clone(person.Factors), func(f account.Factor) bool {
			return slices.ContainsFunc(keys, func(key string) bool { return IsShown(name, f, key) })
		})
	}
	return nil
}

// errUsedMeanwhile says that a login changed what was being moved.
var errUsedMeanwhile = errors.New("somebody is logging in with the former name; try again")

// moveTries is how often an entry is moved anew that a login changed meanwhile.
const moveTries = 100

// moveEntry has the ledger's entry of person know what that of from does, and
// retires that one.
func (g People) moveEntry(ctx context.Context, from string, person account.Person) (after ledger.Entry, err error) {
	former := ledger.UserKey(from)
	for range moveTries {
		was, err := g.Ledger.View(ctx, former)
		if err != nil {
			return ledger.Entry{}, err
		}
		err = g.Ledger.Update(ctx, ledger.UserKey(person.User), func(entry *ledger.Entry) error {
			factor.MoveUsed(from, was, person, entry)
			moveCounts(was, entry)
			after = *entry
			return nil
		})
		if err != nil {
			return ledger.Entry{}, err
		}
		err = g.Ledger.Update(ctx, former, func(entry *ledger.Entry) error {
			if !reflect.DeepEqual(*entry, was) {
				return errUsedMeanwhile
			}
			*entry = ledger.Entry{Used: entry.Used, UsedHashes: entry.UsedHashes}
			factor.Retire(from, person, entry)
			return nil
		})
		if !errors.Is(err, errUsedMeanwhile) {
			return after, err
		}
	}
	return ledger.Entry{}, fmt.Errorf("user %q: %w", from, errUsedMeanwhile)
}

// moveCounts takes along what counts against the person, and when the last login
// was. Of two counts the stricter holds.
func moveCounts(was ledger.Entry, entry *ledger.Entry) {
	entry.Attempts = stricter(entry.Attempts, was.Attempts)
	entry.Sends = moreSends(entry.Sends, was.Sends)
	for name, peer := range was.Peers {
		if entry.Peers == nil {
			entry.Peers = map[string]ledger.Peer{}
		}
		have := entry.Peers[name]
		entry.Peers[name] = ledger.Peer{Attempts: stricter(have.Attempts, peer.Attempts), Sends: moreSends(have.Sends, peer.Sends)}
	}
	entry.LastLogin = later(entry.LastLogin, was.LastLogin)
	moveGraces(was, entry)
	for _, s := range was.Services {
		if !slices.ContainsFunc(entry.Services, func(have ledger.ServiceLogin) bool { return have.Service == s.Service }) {
			entry.Services = append(entry.Services, s)
		}
	}
	entry.Recent = mergeLogins(was.Recent, entry.Recent)
	slices.SortStableFunc(entry.Services, func(a, b ledger.ServiceLogin) int { return cmp.Compare(a.At.Unix(), b.At.Unix()) })
	entry.Services = entry.Services[max(0, len(entry.Services)-gate.KeptServices):]
}

// mergeLogins are those of both names, the newest at the end.
func mergeLogins(a, b []ledger.Login) []ledger.Login {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y ledger.Login) int { return x.At.Compare(y.At) })
	// A rename that was killed is done again.
	return ledger.KeepLogins(slices.Compact(all))
}

func stricter(a, b ledger.Attempts) ledger.Attempts {
	return ledger.Attempts{
		Wrong: max(a.Wrong, b.Wrong), LastWrong: later(a.LastWrong, b.LastWrong), LockedUntil: later(a.LockedUntil, b.LockedUntil),
		Locks: max(a.Locks, b.Locks), Unseen: max(a.Unseen, b.Unseen),
	}
}

func moreSends(a, b ledger.Sends) ledger.Sends {
	return ledger.Sends{Count: max(a.Count, b.Count), Last: later(a.Last, b.Last)}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// moveGraces takes along when graces began: of two beginnings the first.
func moveGraces(was ledger.Entry, entry *ledger.Entry) {
	if entry.Grace.IsZero() || !was.Grace.IsZero() && was.Grace.Before(entry.Grace) {
		entry.Grace = was.Grace
	}
	for name, began := range was.PeerGraces {
		if entry.PeerGraces == nil {
			entry.PeerGraces = map[string]time.Time{}
		}
		if have, found := entry.PeerGraces[name]; !found || began.Before(have) {
			entry.PeerGraces[name] = began
		}
	}
}
