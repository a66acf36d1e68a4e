// Package factor checks codes: those of authenticator apps (TOTP) and tokens
// (HOTP), codes that are sent, and recovery codes.
//
// The entry points are [Verify], [VerifyCarried], [VerifyRecovery] and, for
// devices that went astray, [Resync]. They promise that a code is accepted only
// in its one exact spelling (a scratch code also with a dash in its middle, one of a
// token also behind the token's prefix, which is the same code) and only if the ledger entry shows neither it nor a
// later one as used, and that an accepted code is marked as used in the entry
// before they return. The entry is the caller's to store before anybody is let
// in.
package factor

import (
	"crypto/subtle"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Outcome says what became of a code. The zero value is Wrong.
type Outcome uint8

// The outcomes.
const (
	Wrong Outcome = iota
	Right
	Used // it was right, but it or a later one had been used
)

// maxDrift bounds, in steps, how far a clock that wanders is followed from
// where it should be or was last found. Ten minutes at the usual period: past
// that it takes a resynchronisation.
const maxDrift = 20

// TOTP checks the codes of one authenticator app (RFC 6238).
type TOTP struct {
	User   string
	Factor account.Factor
	// Window is how many steps before and after the expected one are right.
	Window int
}

// Fingerprint names the factor in the ledger.
func (t TOTP) Fingerprint() string { return Fingerprint(t.User, t.Factor) }

// Verify checks code at the time now. Right codes are marked as used in entry.
func (t TOTP) Verify(code string, now time.Time, entry *ledger.Entry) Outcome {
	if t.Factor.Kind != account.TOTP || t.Factor.Period < 1 || !isDigits(code, t.Factor.Digits) {
		return Wrong
	}
	fingerprint := t.Fingerprint()
	use, known := entry.Used[fingerprint]
	expected := t.Step(now)
	matched, found := t.match(code, expected, use)
	switch {
	case !found:
		return Wrong
	case known && matched <= use.Step:
		return Used
	}
	mark(entry, fingerprint, t.follow(matched, expected, use))
	return Right
}

// Step is the number of the time step that now is in (RFC 6238 section 4.2).
func (t TOTP) Step(now time.Time) int64 {
	return now.Unix() / int64(t.Factor.Period)
}

// match finds the latest step whose code is code. Steps around the true time
// and around the remembered drift count: a clock that was off may have been
// set right since. All are compared, so that time says nothing about which.
func (t TOTP) match(code string, expected int64, use ledger.Use) (step int64, found bool) {
	drift := t.drift(use)
	try := func(offset int) {
		candidate := expected + int64(offset)
		if t.hasCode(code, candidate) && (!found || candidate > step) {
			step, found = candidate, true
		}
	}
	for offset := -t.Window; offset <= t.Window; offset++ {
		try(offset)
		if abs(drift+offset) > t.Window {
			try(drift + offset)
		}
	}
	return step, found
}

// hasCode compares code with that of a step.
func (t TOTP) hasCode(code string, step int64) bool {
	want := oath(t.Factor.Secret, step, t.Factor.Digits, t.Factor.Algorithm)
	return step >= 0 && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1
}

// drift is the remembered drift within its bounds: logins take it only
// maxDrift away from true time, or from where a resynchronisation put it.
func (t TOTP) drift(use ledger.Use) int {
	bound := t.resyncReach()
	resynced := max(-bound, min(bound, use.Resynced))
	return max(resynced-maxDrift, min(resynced+maxDrift, use.Drift))
}

// follow is what is remembered of the step that was matched.
func (t TOTP) follow(matched, expected int64, use ledger.Use) ledger.Use {
	offset := int(matched - expected)
	after := ledger.Use{Step: matched, Drift: offset, Resynced: use.Resynced}
	if abs(offset-t.drift(use)) > t.Window {
		// Right by true time alone: the clock has been set right.
		after.Resynced = 0
	}
	after.Drift = t.drift(after)
	return after
}

// resyncReach is how many steps a resynchronisation looks either way.
func (t TOTP) resyncReach() int {
	return int(resyncTime/time.Second) / t.Factor.Period
}

// resync looks for two codes that follow each other, around now. See Resync.
func (t TOTP) resync(first, second string, now time.Time, entry ledger.Entry) (search, bool) {
	if t.Factor.Kind != account.TOTP || t.Factor.Period < 1 {
		return search{}, false
	}
	expected, reach := t.Step(now), int64(t.resyncReach())
	where := search{
		matches: func(step int64) bool { return t.hasCode(first, step) && t.hasCode(second, step+1) },
		from:    expected - reach, to: expected + reach,
		use: func(step int64) ledger.Use {
			drift := int(step + 1 - expected)
			return ledger.Use{Step: step + 1, Drift: drift, Resynced: drift}
		},
	}
	if use, known := entry.Used[t.Fingerprint()]; known {
		where.fresh = use.Step + 1
	}
	return where, true
}

func abs(n int) int { return max(n, -n) }
