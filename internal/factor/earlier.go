package factor

import (
	"crypto/subtle"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// earlierLogin is what the mark of a code that was sent at a login is for:
// nothing. It shares the list of the codes that wait, and none of those is for
// this purpose.
const earlierLogin = "earlier login"

// How long it is remembered that a code was sent, and of how many per person.
// A message may take longer than the code is good, and hardly ever an hour.
const (
	rememberSent = time.Hour
	maxEarlier   = 8
)

// By is what the purpose of a code begins with that a program of peer had sent, and
// nothing for root's programs. Such a code pushes out none of others, and is good for
// programs of that peer alone.
func By(peer string) string {
	if peer == "" {
		return ""
	}
	return "for " + peer + peerEnd
}

const peerEnd = " | "

// MarkSent notes in entry that code is being sent, so that [WasSent] knows it.
// It lets nobody in. by is as for [By].
func MarkSent(user, by, code string, now time.Time, entry *ledger.Entry) {
	AddCarried(entry, Carry(user, by+earlierLogin, code, now.Add(rememberSent)), now)
}

// isMark says whether a code of that purpose is no more than such a mark.
func isMark(purpose string) bool {
	return purpose == earlierLogin || strings.HasSuffix(purpose, peerEnd+earlierLogin)
}

// WasSent says whether code was sent to the person lately, at whichever login.
// Somebody whose message came late types such a code, and it is no guess. Whoever
// guesses gains nothing: there are at most as many as are remembered, and none is
// good for the login that is told.
func WasSent(user, code string, now time.Time, entry ledger.Entry) bool {
	found := 0
	for _, c := range entry.Carried {
		if isMark(c.For) && now.Before(c.Expires) {
			found |= subtle.ConstantTimeCompare([]byte(c.Hash), []byte(HashSent(user, c.For, c.Salt, code)))
		}
	}
	return found == 1
}

// trimCarried leaves the newest of each kind and peer, so that marks push out no
// code that waits, nor those a mark, and a peer's none of others.
func trimCarried(entry *ledger.Entry) {
	type kind struct {
		by   string
		mark bool
	}
	most := map[bool]int{false: maxCarried, true: maxEarlier}
	kept := map[kind]int{}
	for i := len(entry.Carried) - 1; i >= 0; i-- {
		of := kind{mark: isMark(entry.Carried[i].For)}
		if by, _, ok := strings.Cut(entry.Carried[i].For, peerEnd); ok {
			of.by = by
		}
		if kept[of]++; kept[of] > most[of.mark] {
			entry.Carried = slices.Delete(entry.Carried, i, i+1)
		}
	}
}
