// Package factor checks codes: those of authenticator apps (TOTP) and
// recovery codes.
//
// The entry points are [TOTP.Verify] and [VerifyRecovery]. They promise that
// a code is accepted only in its one exact spelling and only if the ledger
// entry shows neither it nor a later one as used, and that an accepted code
// is marked as used in the entry before they return. The entry is the
// caller's to store before anybody is let in.
package factor

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strconv"
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

// maxDrift bounds, in steps, how far a clock that wanders is followed. Ten
// minutes at the usual period: past that the clock is plainly wrong.
const maxDrift = 20

// TOTP checks the codes of one authenticator app (RFC 6238).
type TOTP struct {
	User   string
	Factor account.Factor
	// Window is how many steps before and after the expected one are right.
	Window int
}

// Fingerprint names the factor in the ledger. It changes with the secret and
// the period, as what was used under the old ones says nothing about the new.
// It gives nothing away: the secret has at least 80 random bits.
func (t TOTP) Fingerprint() string {
	sum := sha256.New()
	for _, part := range []string{"otpgate factor", t.User, string(t.Factor.Kind), strconv.Itoa(t.Factor.Period)} {
		sum.Write([]byte(part + "\x00"))
	}
	sum.Write(t.Factor.Secret)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

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
	drift := max(-maxDrift, min(maxDrift, int(matched-expected)))
	if entry.Used == nil {
		entry.Used = map[string]ledger.Use{}
	}
	entry.Used[fingerprint] = ledger.Use{Step: matched, Drift: drift}
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
	drift := max(-maxDrift, min(maxDrift, use.Drift))
	low, high := min(0, drift)-t.Window, max(0, drift)+t.Window
	for offset := low; offset <= high; offset++ {
		if abs(offset) > t.Window && abs(offset-drift) > t.Window {
			continue
		}
		candidate := expected + int64(offset)
		want := oath(t.Factor.Secret, candidate, t.Factor.Digits, t.Factor.Algorithm)
		if candidate >= 0 && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, found = candidate, true
		}
	}
	return step, found
}

func abs(n int) int { return max(n, -n) }
