package factor

import (
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// MaxAhead is how many steps a clock may be ahead for a resynchronisation to
// follow it unasked. For as long as it was ahead its codes count as used once
// it is set right: ten minutes, at the usual period, are waited for.
const MaxAhead = maxDrift

// SetBack says of a code that counts as used from when on the device's codes
// are right again, if it is so because a code from far ahead was accepted
// before, and the clock is not ahead any more: the zero time otherwise. Nothing
// can tell then which of the codes in between were used, so all of them stay
// so, and waiting for the next one is no help.
func SetBack(user string, f account.Factor, window int, code string, now time.Time, entry ledger.Entry) time.Time {
	t := TOTP{User: user, Factor: f, Window: window}
	if f.Kind != account.TOTP || f.Period < 1 || !isDigits(code, f.Digits) {
		return time.Time{}
	}
	use, known := entry.Used[t.Fingerprint()]
	matched, found := t.match(code, t.Step(now), use)
	if !known || !found || use.Step-matched <= int64(max(1, 2*window)) {
		return time.Time{}
	}
	return CountsAgain(user, f, entry)
}

// CountsAgain is when a device with the right time shows the first code that is
// later than all that count as used; the zero time if it never is.
func CountsAgain(user string, f account.Factor, entry ledger.Entry) time.Time {
	use := entry.Used[Fingerprint(user, f)]
	if IsRetired(use) {
		return time.Time{}
	}
	return time.Unix((use.Step+1)*int64(f.Period), 0)
}
