package factor

import (
	"crypto/subtle"
	"slices"
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

// MarkSent notes in entry that code is being sent, so that [WasSent] knows it.
// It lets nobody in.
func MarkSent(user, code string, now time.Time, entry *ledger.Entry) {
	AddCarried(entry, Carry(user, earlierLogin, code, now.Add(rememberSent)), now)
}

// WasSent says whether code was sent to the person lately, at whichever login.
// Somebody whose message came late types such a code, and it is no guess. Whoever
// guesses gains nothing: there are at most as many as are remembered, and none is
// good for the login that is told.
func WasSent(user, code string, now time.Time, entry ledger.Entry) bool {
	found := 0
	for _, c := range entry.Carried {
		if c.For == earlierLogin && now.Before(c.Expires) {
			found |= subtle.ConstantTimeCompare([]byte(c.Hash), []byte(HashSent(user, earlierLogin, c.Salt, code)))
		}
	}
	return found == 1
}

// trimCarried leaves the newest of each kind, so that marks push out no code
// that waits, nor those a mark.
func trimCarried(entry *ledger.Entry) {
	kept := map[bool]int{false: maxCarried, true: maxEarlier}
	for i := len(entry.Carried) - 1; i >= 0; i-- {
		mark := entry.Carried[i].For == earlierLogin
		if kept[mark]--; kept[mark] < 0 {
			entry.Carried = slices.Delete(entry.Carried, i, i+1)
		}
	}
}
