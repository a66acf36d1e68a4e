package gate

import (
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// untold is why it cannot be told whether a code is right: it may be one of a factor
// whose secret cannot be read.
type untold struct{ error }

func (u untold) Unwrap() error { return u.error }

// cannotTell says whether a code that nothing else knows may be of a factor whose
// secret cannot be read now. That is a fault of the machine's and no guess.
func cannotTell(person account.Person, code string) (untold, bool) {
	for _, f := range person.Confirmed() {
		if err := f.Unreadable(); err != nil && factor.IsCode(f, code) {
			return untold{err}, true
		}
	}
	return untold{}, false
}

// wasGuess says whether code was compared with anything that could be guessed. Then it
// counts whatever else it may be: a key that is missing gives nobody more guesses.
func (d *dialogue) wasGuess(code string, now time.Time, entry ledger.Entry) bool {
	for _, f := range d.person.Confirmed() {
		if !f.Kind.IsSent() && f.Unreadable() == nil && factor.IsCode(f, code) {
			return true
		}
	}
	if factor.HasScratch(d.person) && factor.IsScratch(code) {
		return true
	}
	waits := len(d.sent) > 0 || factor.Waits(entry, d.purpose(d.request, enrollmentOf(d.person)), now)
	return waits && factor.IsSent(d.Config.Sent, code)
}
