package main

import (
	"fmt"
	"sync"
	"time"
)

// limits are what one peer can make the others wait for.
type limits struct {
	// opening is how long a peer may take to say what it wants. A front says
	// it at once.
	opening time.Duration
	// dialogue is for fronts that name no time of their own.
	dialogue time.Duration
	// perUser bounds the open dialogues of an ordinary user's programs, and
	// perMinute how many they may begin, as each may cost a line in the log.
	perUser, perMinute int
	// strangers bounds those of all ordinary users together, and nameless, of
	// these, those of uids that no user is known of.
	strangers, nameless int
	// allowed bounds those of each user in verifier.allow, trusted those of root
	// and of the verifier's own user.
	allowed, trusted int
}

var usual = limits{
	opening: 5 * time.Second, dialogue: 2 * time.Minute,
	perUser: 16, perMinute: 120, strangers: 512, nameless: 256, allowed: 512, trusted: 4096,
}

// peerKind says what a peer may do.
type peerKind uint8

// The kinds of peers.
const (
	stranger peerKind = iota // may ask for its own user alone
	allowed                  // a user in verifier.allow
	trusted                  // root, or the user that the verifier runs as
)

// complainEvery is how often the log is told of a user who is refused, and
// complaints how often in that time of anybody: a flood must not fill it.
const (
	complainEvery = time.Minute
	complaints    = 20
)

// rangeSize is how many uids have one visitor between them, from the first
// such range on: a user may own as many, see subuid(5), and no one of them is
// somebody of its own. The ranges begin where useradd gives the first.
const rangeSize = 1 << 16

// The visitors that are remembered, and uids above the first range that are
// known to be a user's. More of either cost no more memory and no more time.
const maxVisitors, maxKnown = 1024, 1024

// lookedAt is how many visitors are looked at for one that can be forgotten.
const lookedAt = 8

// door counts who is in. What it does for a connection takes the same short
// time however many uids have come before: it is done while others wait.
type door struct {
	limits limits
	now    func() time.Time

	mu                        sync.Mutex
	visitors                  map[visitorID]*visitor
	rest                      visitor // those for whom visitors has no place
	known                     map[uint32]struct{}
	open, strangers, nameless int
	complaints                pace
	last                      time.Time // when a connection began or ended
}

// visitorID is a uid, or the first uid of a range with all that no user is
// known of in it.
type visitorID struct {
	uid     uint32
	isRange bool
}

func (v visitorID) String() string {
	if v.isRange {
		return fmt.Sprintf("uids %d to %d without a user", v.uid, v.uid+rangeSize-1)
	}
	return fmt.Sprintf("uid %d", v.uid)
}

// visitor is one user's programs, or a range's.
type visitor struct {
	kind  peerKind
	id    visitorID
	open  int
	pace  pace
	since time.Time // when it came last
	told  time.Time
}

// pace is how many may begin now of those that a minute allows.
type pace struct {
	spare float64
	since time.Time // when spare was right
}

func (p *pace) take(now time.Time, perMinute int) bool {
	full := float64(perMinute)
	if p.since.IsZero() {
		p.spare, p.since = full, now
	}
	p.spare = min(full, p.spare+max(0, now.Sub(p.since).Minutes())*full)
	p.since = now
	if p.spare < 1 {
		return false
	}
	p.spare--
	return true
}

func newDoor(limits limits) *door {
	return &door{limits: limits, now: time.Now, visitors: map[visitorID]*visitor{}, known: map[uint32]struct{}{}, last: time.Now()}
}

// enter counts a connection, and must be followed by leave, or it refuses it:
// who is then nil, and complaint for the log unless it is empty.
func (d *door) enter(uid uint32, kind peerKind) (who *visitor, complaint string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	who = d.visitor(uid, kind, now)
	reason := d.refusal(who, now)
	if reason == "" {
		who.open++
		d.count(who, 1, now)
		return who, ""
	}
	if now.Sub(who.told) >= complainEvery && d.complaints.take(now, complaints) {
		who.told = now
		complaint = fmt.Sprintf("%s is refused: %s", who.id, reason)
	}
	return nil, complaint
}

func (d *door) refusal(who *visitor, now time.Time) string {
	switch {
	case who.kind == trusted && who.open >= d.limits.trusted, who.kind == allowed && who.open >= d.limits.allowed:
		return fmt.Sprintf("it has %d dialogues open", who.open)
	case who.kind != stranger:
		return ""
	case who.open >= d.limits.perUser:
		return fmt.Sprintf("it has %d dialogues open and is not in verifier.allow", who.open)
	case d.strangers >= d.limits.strangers:
		return fmt.Sprintf("users who are not in verifier.allow have %d dialogues open", d.strangers)
	case who.id.isRange && d.nameless >= d.limits.nameless:
		return fmt.Sprintf("uids without a user have %d dialogues open", d.nameless)
	case !who.pace.take(now, d.limits.perMinute):
		return fmt.Sprintf("it began more than %d dialogues in a minute and is not in verifier.allow", d.limits.perMinute)
	}
	return ""
}

// visitor finds or makes the one that a uid counts for.
func (d *door) visitor(uid uint32, kind peerKind, now time.Time) *visitor {
	id := visitorID{uid: uid}
	if _, isUser := d.known[uid]; kind == stranger && uid >= rangeSize && !isUser {
		id = visitorID{uid - uid%rangeSize, true}
	}
	who := d.visitors[id]
	if who != nil && who.kind != kind {
		// The configuration has changed since. Who is in still holds the old one.
		delete(d.visitors, id)
		who = nil
	}
	if who == nil {
		who = &visitor{kind: kind, id: id}
		switch {
		case len(d.visitors) < maxVisitors || d.forgetOne(now) || kind != stranger:
			d.visitors[id] = who
		default:
			d.rest.id = id
			return &d.rest
		}
	}
	who.since = now
	return who
}

// forgetOne makes room for a visitor, if one of a few that it looks at has
// nothing that is to be remembered.
func (d *door) forgetOne(now time.Time) bool {
	looked := 0
	for id, who := range d.visitors {
		if who.open == 0 && now.Sub(who.since) > complainEvery {
			delete(d.visitors, id)
			return true
		}
		if looked++; looked == lookedAt {
			break
		}
	}
	return false
}

// met notes that the system knows a user of this uid, who then has limits of
// his own.
func (d *door) met(uid uint32) {
	if uid < rangeSize {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, isKnown := d.known[uid]; isKnown {
		return
	}
	if len(d.known) >= maxKnown {
		for other := range d.known {
			delete(d.known, other)
			break
		}
	}
	d.known[uid] = struct{}{}
}

func (d *door) leave(who *visitor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	who.open--
	d.count(who, -1, d.now())
}

func (d *door) count(who *visitor, n int, now time.Time) {
	d.open += n
	if who.kind == stranger {
		d.strangers += n
	}
	if who.id.isRange || who == &d.rest {
		d.nameless += n
	}
	d.last = now
}

// idle says how long nobody has asked anything.
func (d *door) idle() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open > 0 {
		return 0
	}
	return d.now().Sub(d.last)
}
