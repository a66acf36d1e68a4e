package factor

import (
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
)

// A code that is used because its device's clock was ahead is told from one
// that was typed twice, and from one that is a few steps old.
func TestSetBack(t *testing.T) {
	for _, ahead := range []int64{0, 2, 15, 960} {
		v := verifier()
		step := v.Step(noon) + ahead
		entry := ledger.Entry{Used: map[string]ledger.Use{v.Fingerprint(): {Step: step, Drift: int(ahead), Resynced: int(ahead)}}}
		before := func(offset int64) bool {
			at := SetBack(v.User, v.Factor, v.Window, codeAt(v, noon, offset), noon, entry)
			if !at.IsZero() && at.Unix() != (step+1)*30 {
				t.Errorf("%d ahead: codes count again at %v", ahead, at)
			}
			return !at.IsZero()
		}
		for _, offset := range []int64{ahead, ahead - 1} {
			if before(offset) {
				t.Errorf("%d ahead: the code of %d is taken for one of a clock that was set back", ahead, offset)
			}
		}
		if got, want := before(0), ahead > int64(2*v.Window); got != want {
			t.Errorf("%d ahead, set right: %v, want %v", ahead, got, want)
		}
		if before(ahead+500) || v.Verify(codeAt(v, noon, ahead), noon, &entry) != Used {
			t.Errorf("%d ahead: a wrong or a used code", ahead)
		}
	}
}
