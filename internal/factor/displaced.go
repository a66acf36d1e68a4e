package factor

import (
	"time"

	"github.com/otpgate/otpgate/internal/account"
)

// Displaced says how many steps away from now a wrong code would have been
// right, looking up to reach steps either way; the nearest counts. It is for
// telling admins that clocks disagree and accepts nothing. It takes as long
// whether it finds anything or not.
func (t TOTP) Displaced(code string, now time.Time, reach int) (steps int, found bool) {
	if t.Factor.Kind != account.TOTP || t.Factor.Period < 1 || !isDigits(code, t.Factor.Digits) {
		return 0, false
	}
	here := t.Step(now)
	for offset := -reach; offset <= reach; offset++ {
		if t.hasCode(code, here+int64(offset)) && (!found || abs(offset) < abs(steps)) {
			steps, found = offset, true
		}
	}
	return steps, found
}
