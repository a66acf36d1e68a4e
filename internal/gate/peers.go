package gate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// What programs of others than root cause is counted apart, for each user whose
// they are: a program has shown no password, and a server that was taken over
// must not lock everybody out of everything. There are as many budgets of wrong
// codes as there are users in verifier.allow, one for the person's own programs,
// and the one of the logins that root's programs bring: guessing stays as
// hopeless in all of them together as in one, and no uid gives another.

// counts are those that hold for whoever asks.
func (g *Gate) counts(entry ledger.Entry) ledger.Peer {
	if g.Peer == "" {
		return ledger.Peer{Attempts: entry.Attempts, Sends: entry.Sends}
	}
	return entry.Peers[g.Peer]
}

// setCounts puts them back.
func (g *Gate) setCounts(entry *ledger.Entry, counts ledger.Peer) {
	if g.Peer == "" {
		entry.Attempts, entry.Sends = counts.Attempts, counts.Sends
		return
	}
	if entry.Peers == nil {
		entry.Peers = map[string]ledger.Peer{}
	}
	for name, peer := range entry.Peers {
		if expired(peer, g.Now()) {
			delete(entry.Peers, name)
		}
	}
	entry.Peers[g.Peer] = counts
}

// expired says that nothing of a peer counts any more, nor is to be told.
func expired(peer ledger.Peer, now time.Time) bool {
	for _, last := range []time.Time{peer.Attempts.LastWrong, peer.Attempts.LockedUntil, peer.Sends.Last} {
		if now.Sub(last) <= quietTime {
			return false
		}
	}
	return peer.Attempts.Unseen == 0
}

// seen takes from entry how many wrong codes others' programs gave that the
// owner has not been told of. It is told to whoever has shown a password.
func (g *Gate) seen(entry *ledger.Entry) (unseen int) {
	if g.Peer != "" {
		return 0
	}
	for name, peer := range entry.Peers {
		unseen += peer.Attempts.Unseen
		peer.Attempts.Unseen = 0
		entry.Peers[name] = peer
	}
	return unseen
}

// ofPeer says for the log whose count a lock is of.
func (g *Gate) ofPeer() string {
	if g.Peer == "" {
		return ""
	}
	return fmt.Sprintf(", for programs of %s alone", g.Peer)
}

// PeerLately is what programs of one user cause, as it counts now.
type PeerLately struct {
	Name        string    `json:"name"`
	WrongCodes  int       `json:"wrong_codes"`
	LockedUntil time.Time `json:"locked_until,omitzero"`
	SentCodes   int       `json:"sent_codes"`
	NextSend    time.Time `json:"next_send,omitzero"`
	// GraceUntil is until when they let the person in who must enroll first, or did.
	GraceUntil time.Time `json:"grace_until,omitzero"`
}

// PeersLately says what counts of the programs of others than root, see
// [Gate.WrongLately] and [Gate.SentLately].
func (g *Gate) PeersLately(entry ledger.Entry) (all []PeerLately) {
	names := map[string]bool{}
	for name := range entry.Peers {
		if name == failedLinksPeer {
			continue // nothing was sent
		}
		names[name] = true
	}
	for name := range entry.PeerGraces {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		own := *g
		own.Peer = name
		peer := PeerLately{Name: name, GraceUntil: own.peerGrace(entry)}
		peer.WrongCodes, peer.LockedUntil = own.WrongLately(entry)
		limit := g.Config.Sent.PerHour
		if name == linksPeer {
			limit = LinksPerHour
		}
		peer.SentCodes, peer.NextSend = own.sentLately(entry, limit)
		if peer.WrongCodes > 0 || !peer.LockedUntil.IsZero() || peer.SentCodes > 0 || !peer.GraceUntil.IsZero() {
			all = append(all, peer)
		}
	}
	return all
}

// CountedOfAll are all wrong codes that an entry counts, and the last lock.
func CountedOfAll(entry ledger.Entry) ledger.Attempts {
	all := entry.Attempts
	for _, peer := range entry.Peers {
		all.Wrong += peer.Attempts.Wrong
		all.Locks += peer.Attempts.Locks
		all.Unseen += peer.Attempts.Unseen
		if peer.Attempts.LockedUntil.After(all.LockedUntil) {
			all.LockedUntil = peer.Attempts.LockedUntil
		}
		if peer.Attempts.LastWrong.After(all.LastWrong) {
			all.LastWrong = peer.Attempts.LastWrong
		}
	}
	return all
}
