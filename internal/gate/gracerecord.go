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

// graceRecord is where the beginning of a person's grace is noted.
type graceRecord struct {
	key ledger.Key
	// unknown, if set, is the person among those whom the system does not know.
	unknown string
	// had says that the name as it is had codes before.
	had bool
	// peer is whose programs ask, as in Gate. of is what root's programs have noted
	// of an unknown person then, who is in another entry.
	peer string
	of   time.Time
}

// maxUnknown bounds for how many names that the system does not know a grace is
// noted. They are in one entry, so that made-up names leave no files behind, in
// stacks that go on after a wrong password. None is forgotten: that would be
// another grace.
const maxUnknown = 1000

// unknownKey is no key of a person: no name begins with a tilde. Programs of others
// than root have one for each user, as they can make up a thousand names.
func unknownKey(peer string) ledger.Key {
	if peer != "" {
		peer = " of " + peer
	}
	return ledger.Key{Kind: ledger.User, Name: "~strangers" + peer} // the file keeps its name
}

// graceRecordOf finds it. Whom the system does not know has one for all cases of the
// name, as likeName says why: each would be another grace.
func (g *Gate) graceRecordOf(ctx context.Context, person account.Person) (graceRecord, error) {
	_, known, err := g.Names.Canonical(person.User)
	if err != nil {
		return graceRecord{}, blame{"name-service", err}
	}
	_, notFound := g.Accounts.Load(person.User)
	if known || notFound == nil {
		return graceRecord{key: ledger.UserKey(person.User), peer: g.Peer}, nil
	}
	lower := person
	lower.User = strings.ToLower(person.User)
	for _, one := range []account.Person{person, lower} {
		entry, err := g.Ledger.View(ctx, ledger.UserKey(one.User))
		if err != nil {
			return graceRecord{}, blame{"ledger", fmt.Errorf("look up the grace: %w", err)}
		}
		if hadCodes(entry) {
			return graceRecord{key: ledger.UserKey(one.User), had: true}, nil
		}
	}
	sum := sha256.Sum256([]byte("otpgate stranger\x00" + lower.User))
	record := graceRecord{key: unknownKey(g.Peer), unknown: hex.EncodeToString(sum[:8]), peer: g.Peer}
	if g.Peer == "" {
		return record, nil
	}
	entry, err := g.Ledger.View(ctx, unknownKey(""))
	if err != nil {
		return graceRecord{}, blame{"ledger", fmt.Errorf("look up the grace: %w", err)}
	}
	record.of = beganOf(entry, record.unknown)
	return record, nil
}

func beganOf(entry ledger.Entry, unknown string) time.Time {
	use, found := entry.Used[unknown]
	if !found {
		return time.Time{}
	}
	return time.Unix(use.Step, 0)
}

// earlier is the first of two beginnings; the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// read is what the entry knows of the person's grace, and whether one
// fits. What root's programs have begun holds for those of others too; what
// these begin, who may have been taken over, ends with them alone.
func (p graceRecord) read(entry ledger.Entry) (known ledger.Entry, fits bool) {
	if p.unknown == "" {
		if p.peer != "" {
			entry.Grace = earlier(entry.Grace, entry.PeerGraces[p.peer])
		}
		return entry, true
	}
	known.Grace = earlier(beganOf(entry, p.unknown), p.of)
	return known, !known.Grace.IsZero() || len(entry.Used) < maxUnknown
}

// begin notes that the grace began.
func (p graceRecord) begin(entry *ledger.Entry, now time.Time) {
	switch {
	case p.unknown == "" && p.peer == "":
		entry.Grace = now
		return
	case p.unknown == "":
		if entry.PeerGraces == nil {
			entry.PeerGraces = map[string]time.Time{}
		}
		entry.PeerGraces[p.peer] = now
		return
	}
	if entry.Used == nil {
		entry.Used = map[string]ledger.Use{}
	}
	entry.Used[p.unknown] = ledger.Use{Step: now.Unix()}
}
