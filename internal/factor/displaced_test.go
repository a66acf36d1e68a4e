package factor

import (
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
)

func TestDisplacedFindsTheNearestStep(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	totp := TOTP{User: "alice", Window: 1, Factor: account.Factor{
		Kind: account.TOTP, Secret: account.Secret("12345678901234567890"), Digits: 6, Period: 30, Algorithm: "SHA1",
	}}
	code := func(steps int64) string {
		return oath(totp.Factor.Secret, totp.Step(now)+steps, totp.Factor.Digits, totp.Factor.Algorithm)
	}
	for _, steps := range []int{-120, -2, 0, 1, 119, 120} {
		if got, found := totp.Displaced(code(int64(steps)), now, 120); !found || got != steps {
			t.Errorf("got %d, %t, want %d", got, found, steps)
		}
	}
	for _, wrong := range []string{code(121), code(-121), "", "12345", " " + code(0), code(0) + " "} {
		if steps, found := totp.Displaced(wrong, now, 120); found {
			t.Errorf("%q was found at %d", wrong, steps)
		}
	}
	if _, found := totp.Displaced(code(0), time.Unix(0, 0), 120); found {
		t.Error("a step before the first was found")
	}
	totp.Factor.Kind = "hotp"
	if _, found := totp.Displaced(code(0), now, 120); found {
		t.Error("a code of another kind was found")
	}
}
