package main

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/ratelimit"
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
	// ordinaryUsers bounds those of all ordinary users together, and nameless, of
	// these, those of uids that no user is known of.
	ordinaryUsers, nameless int
	// allowed bounds those of each user in verifier.allow, trusted those of root
	// and of the verifier's own user.
	allowed, trusted int
	// perName bounds those in which root's programs ask for one user, who may hold them
	// open by a prompt of each sudo.
	perName int
	// clients bounds those of all clients together. The gateway bounds each one's.
	clients int
	// portal bounds the requests of the page for people that are open.
	portal int
}

var usual = limits{
	opening: 5 * time.Second, dialogue: 2 * time.Minute,
	perUser: 16, perMinute: 120, ordinaryUsers: 512, nameless: 256, allowed: 512, trusted: 4096, perName: 256, clients: 4096, portal: 256,
}

// peerKind says what a peer may do.
type peerKind uint8

// The kinds of peers.
const (
	ordinaryUser peerKind = iota // may ask for its own user alone
	allowed                      // a user in verifier.allow
	trusted                      // root, or the user that the verifier runs as
	forClients                   // the gateway, which asks for clients alone
	forPortal                    // the page for people, at its own socket
)

// complainEvery is how often the log is told of a user who is refused, and
// complaints how often in that time of anybody: a flood must not fill it.
const (
	complainEvery = time.Minute
	complaints    = 20
)

// brokenLines is how many lines the log gets in a minute of dialogues that
// programs of one user of verifier.allow broke off: one that was taken over can
// begin thousands in a second. perMinute bounds those of ordinary users.
const brokenLines = 20

// namesOfAllowed is how many questions to name services programs of one user of
// verifier.allow have under way, of the 256 that a process may have: one that was
// taken over can make up names at which a service hangs.
const namesOfAllowed = 64

// rangeSize is how many uids count as one peer, from the first such range on: a
// user may own as many, see subuid(5), and no one of them is somebody of its own.
// The ranges begin where useradd gives the first.
const rangeSize = 1 << 16

// The peers that are remembered, and uids above the first range that are
// known to be a user's. More of either cost no more memory and no more time.
const maxPeers, maxKnown = 1024, 1024

// lookedAt is how many peers are looked at for one that can be forgotten.
const lookedAt = 8

// admission counts the connections that are open. What it does for a connection takes the same short
// time however many uids have come before: it is done while others wait.
type admission struct {
	limits limits
	now    func() time.Time

	mu                            sync.Mutex
	peers                         map[peerID]*peerCount
	rest                          peerCount // those for whom peers has no place
	known                         map[uint32]struct{}
	open, ordinaryUsers, nameless int
	names                         map[string]int // for whom root's programs ask
	complaints                    ratelimit.Limiter
	last                          time.Time // when a connection began or ended
}

// peerID is a uid, or the first uid of a range with all that no user is
// known of in it.
type peerID struct {
	uid     uint32
	isRange bool
}

func (p peerID) String() string {
	if p.isRange {
		return fmt.Sprintf("uids %d to %d without a user", p.uid, p.uid+rangeSize-1)
	}
	return fmt.Sprintf("uid %d", p.uid)
}

// peerCount is one user's programs, or a range's.
type peerCount struct {
	kind  peerKind
	id    peerID
	open  int
	rate  ratelimit.Limiter
	since time.Time // when it came last
	told  time.Time
	// broken bounds lines about dialogues that it broke off; unsaid is how many
	// since the last one have none.
	broken ratelimit.Limiter
	unsaid int
	lines  semaphore
	// names bounds what name services are asked for an allowed one, nil otherwise.
	names *nss.Limit
}

func newAdmission(limits limits) *admission {
	return &admission{limits: limits, now: time.Now, peers: map[peerID]*peerCount{}, known: map[uint32]struct{}{}, names: map[string]int{}, last: time.Now(), rest: peerCount{lines: semaphoreFor(ordinaryUser)}}
}

// admit counts a connection, and must be followed by release, or it refuses it:
// who is then nil, and complaint for the log unless it is empty.
func (a *admission) admit(uid uint32, kind peerKind) (who *peerCount, complaint string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	who = a.peer(uid, kind, now)
	reason := a.refusal(who, now)
	if reason == "" {
		who.open++
		a.count(who, 1, now)
		return who, ""
	}
	if now.Sub(who.told) >= complainEvery && a.complaints.Take(now, complaints) {
		who.told = now
		complaint = fmt.Sprintf("%s is refused: %s", who.id, reason)
	}
	return nil, complaint
}

func (a *admission) refusal(who *peerCount, now time.Time) string {
	switch {
	case who.kind == trusted && who.open >= a.limits.trusted, who.kind == allowed && who.open >= a.limits.allowed,
		who.kind == forClients && who.open >= a.limits.clients, who.kind == forPortal && who.open >= a.limits.portal:
		return fmt.Sprintf("it has %d dialogues open", who.open)
	case who.kind != ordinaryUser:
		return ""
	case who.open >= a.limits.perUser:
		return fmt.Sprintf("it has %d dialogues open and is not in verifier.allow", who.open)
	case a.ordinaryUsers >= a.limits.ordinaryUsers:
		return fmt.Sprintf("users who are not in verifier.allow have %d dialogues open", a.ordinaryUsers)
	case who.id.isRange && a.nameless >= a.limits.nameless:
		return fmt.Sprintf("uids without a user have %d dialogues open", a.nameless)
	case !who.rate.Take(now, a.limits.perMinute):
		return fmt.Sprintf("it began more than %d dialogues in a minute and is not in verifier.allow", a.limits.perMinute)
	}
	return ""
}

// peer finds or makes the one that a uid counts for.
func (a *admission) peer(uid uint32, kind peerKind, now time.Time) *peerCount {
	id := peerID{uid: uid}
	if _, isUser := a.known[uid]; kind == ordinaryUser && uid >= rangeSize && !isUser {
		id = peerID{uid - uid%rangeSize, true}
	}
	who := a.peers[id]
	if who != nil && who.kind != kind {
		// The configuration has changed since. Who is in still holds the old one.
		delete(a.peers, id)
		who = nil
	}
	if who == nil {
		who = &peerCount{kind: kind, id: id, lines: semaphoreFor(kind)}
		if kind == allowed {
			who.names = nss.NewLimit(namesOfAllowed)
		}
		switch {
		case len(a.peers) < maxPeers || a.forgetOne(now) || kind != ordinaryUser:
			a.peers[id] = who
		default:
			a.rest.id = id
			return &a.rest
		}
	}
	who.since = now
	return who
}

// forgetOne makes room for a peer, if one of a few that it looks at has
// nothing that is to be remembered.
func (a *admission) forgetOne(now time.Time) bool {
	looked := 0
	for id, who := range a.peers {
		if who.open == 0 && now.Sub(who.since) > complainEvery && who.names.UnderWay() == 0 {
			delete(a.peers, id)
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
func (a *admission) met(uid uint32) {
	if uid < rangeSize {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, isKnown := a.known[uid]; isKnown {
		return
	}
	if len(a.known) >= maxKnown {
		for other := range a.known {
			delete(a.known, other)
			break
		}
	}
	a.known[uid] = struct{}{}
}

// tell writes a line about a peer that broke off or was not answered, unless there are
// too many.
func (a *admission) tell(sink audit.Sink, peer *unix.Ucred, who *peerCount, rule string, err error) {
	tells, unsaid := a.tells(who)
	if !tells {
		return
	}
	reason := fmt.Sprintf("peer uid %d pid %d: %v", peer.Uid, peer.Pid, err)
	if unsaid > 0 {
		reason += fmt.Sprintf(" (and %d others of this user since the last line)", unsaid)
	}
	who.sink(sink).Write(audit.Record{Verdict: "fault", Rule: rule, Reason: reason})
}

// tells says whether the log is to be told that a dialogue of who broke off, and
// how many others it has not been told of.
func (a *admission) tells(who *peerCount) (tells bool, unsaid int) {
	if who.kind == ordinaryUser || who.kind == trusted {
		return true, 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !who.broken.Take(a.now(), brokenLines) {
		who.unsaid++
		return false, 0
	}
	unsaid, who.unsaid = who.unsaid, 0
	return true, unsaid
}

func (a *admission) release(who *peerCount) {
	a.mu.Lock()
	defer a.mu.Unlock()
	who.open--
	a.count(who, -1, a.now())
}

func (a *admission) count(who *peerCount, n int, now time.Time) {
	a.open += n
	if who.kind == ordinaryUser {
		a.ordinaryUsers += n
	}
	if who.id.isRange || who == &a.rest {
		a.nameless += n
	}
	a.last = now
}

// admitName counts a dialogue of root's programs in which they ask for a user, until left
// is called, or refuses it: left is then nil, and complaint for the log unless it is empty.
func (a *admission) admitName(user string) (left func(), complaint string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.names[user] >= a.limits.perName {
		if a.complaints.Take(a.now(), complaints) {
			complaint = fmt.Sprintf("root's programs are refused for this user: they have %d dialogues open in that name", a.names[user])
		}
		return nil, complaint
	}
	a.names[user]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.names[user]--; a.names[user] == 0 {
			delete(a.names, user)
		}
	}, ""
}

// idle says how long nobody has asked anything.
func (a *admission) idle() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open > 0 {
		return 0
	}
	return a.now().Sub(a.last)
}
