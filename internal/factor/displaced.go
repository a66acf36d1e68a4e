package factor

import (
	"crypto/subtle"
	"time"

	"github.com/otpgate/otpgate/internal/account"
)

// Displaced says how many steps away from now a wrong code would have been
// right, looking up to reach steps either way; the nearest counts. It is for
// telling people that clocks disagree and accepts nothing.
func (t TOTP) Displaced(code string, now time.Time, reach int) (steps int, found bool) {
	if t.Factor.Kind != account.TOTP || t.Factor.Period < 1 || !isDigits(code, t.Factor.Digits) {
		return 0, false
	}
	here := t.Step(now)
	for offset := -reach; offset <= reach; offset++ {
		if here+int64(offset) < 0 || found && abs(offset) > abs(steps) {
			continue
		}
		want := oath(t.Factor.Secret, here+int64(offset), t.Factor.Digits, t.Factor.Algorithm)
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			steps, found = offset, true
		}
	}
	return steps, found
}
