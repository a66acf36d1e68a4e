package gate

import (
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// clockTolerance is how far the clock may be behind what is on disk before the
// log says so: less is what clocks are set back by, and codes tell that better.
const clockTolerance = 10 * time.Minute

// clockBehind says that the machine's clock is behind what it was when the person
// last logged in or confirmed a device. No app's code is right then, and none
// comes near. It is the state of a machine whose clock has no battery until
// something sets it. This is for the log only.
func clockBehind(person account.Person, now time.Time, entry ledger.Entry) (hint string) {
	newest, what := entry.LastLogin, "the last login"
	for _, f := range person.Confirmed() {
		if f.Confirmed.After(newest) {
			newest, what = f.Confirmed, "the confirmation of "+f.ID
		}
	}
	if newest.Sub(now) < clockTolerance {
		return ""
	}
	return "the machine's clock is behind: it says " + now.UTC().Format(time.RFC3339) + ", and " + what + " was at " + newest.UTC().Format(time.RFC3339)
}
