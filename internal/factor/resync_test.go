package factor

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

func copyOf(entry ledger.Entry) ledger.Entry {
	entry.Used = maps.Clone(entry.Used)
	return entry
}

// resyncAt gives the codes that a clock so many steps ahead shows now and next.
func resyncAt(v TOTP, now time.Time, ahead int64, entry *ledger.Entry) (int, error) {
	return Resync(v.User, v.Factor, codeAt(v, now, ahead), codeAt(v, now, ahead+1), now, entry)
}

func TestResyncFollowsAClockThatIsFarOff(t *testing.T) {
	for _, ahead := range []int64{-2880, -1000, -21, -1, 0, 1, 500, 2878} {
		v := verifier()
		var entry ledger.Entry
		got, err := resyncAt(v, noon, ahead, &entry)
		if err != nil || got != int(ahead+1) {
			t.Fatalf("%d ahead: %d, %v", ahead, got, err)
		}
		for _, offset := range []int64{ahead - 1, ahead, ahead + 1} {
			if got := v.Verify(codeAt(v, noon, offset), noon, &entry); got == Right {
				t.Errorf("%d ahead: the code of %d logs in afterwards", ahead, offset)
			}
		}
		// The clock goes on losing or gaining, slowly.
		now, wander := noon, ahead+1
		for range maxDrift - 1 {
			now = now.Add(24 * time.Hour)
			wander--
			if got := v.Verify(codeAt(v, now, wander), now, &entry); got != Right {
				t.Fatalf("%d ahead, wandered to %d: %v", ahead, wander, got)
			}
		}
		now = now.Add(24 * time.Hour)
		if got := v.Verify(codeAt(v, now, ahead-maxDrift-5), now, &entry); got != Wrong && ahead < -21 {
			t.Errorf("%d ahead, far from there: %v", ahead, got)
		}
		// Set right, and then only true time counts.
		now = now.Add(7 * 24 * time.Hour)
		if got := v.Verify(codeAt(v, now, 0), now, &entry); got != Right {
			t.Errorf("%d ahead, set right: %v", ahead, got)
		}
		now = now.Add(7 * 24 * time.Hour)
		if got := v.Verify(codeAt(v, now, wander), now, &entry); got != Wrong && (ahead < -21 || ahead > 21) {
			t.Errorf("%d ahead, set right, and off again: %v", ahead, got)
		}
	}
}

func TestResyncReach(t *testing.T) {
	v := verifier()
	for _, ahead := range []int64{-2881, 2880, 5000} {
		var entry ledger.Entry
		if _, err := resyncAt(v, noon, ahead, &entry); !errors.Is(err, ErrNowhere) || entry.Used != nil {
			t.Errorf("%d ahead: %v", ahead, err)
		}
	}
	var entry ledger.Entry
	first, second := codeAt(v, noon, 5), codeAt(v, noon, 6)
	for _, test := range []struct {
		first, second string
		want          error
	}{
		{first, first, ErrNowhere},
		{second, first, ErrNowhere},
		{first, codeAt(v, noon, 7), ErrNowhere},
		{first, "", ErrNoForm},
		{first + " ", second, ErrNoForm},
		{" " + first, second, ErrNoForm},
		{first, second[:5], ErrNoForm},
	} {
		if _, err := Resync("alice", v.Factor, test.first, test.second, noon, &entry); !errors.Is(err, test.want) || entry.Used != nil {
			t.Errorf("%q, %q: %v, want %v", test.first, test.second, err, test.want)
		}
	}
	if _, err := Resync("alice", account.Factor{Kind: account.Email}, first, second, noon, &entry); !errors.Is(err, ErrNoResync) {
		t.Error(err)
	}
	if _, err := Resync("alice", account.Factor{Kind: account.TOTP, Digits: 6}, first, second, noon, &entry); !errors.Is(err, ErrNowhere) {
		t.Error(err)
	}
	if _, err := Resync("alice", account.Factor{}, "", "", noon, &entry); err == nil {
		t.Error("a zero factor was resynchronised")
	}
}

// However logins, resynchronisations and changes of the clock follow each
// other: no code is accepted that is not later than every one before.
func TestResyncNeverBringsUsedCodesBack(t *testing.T) {
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 1))
		v := verifier()
		var entry ledger.Entry
		now, last := noon, int64(-1)
		var used []int64
		for range 60 {
			now = now.Add(time.Duration(random.Int64N(int64(6*time.Hour))) - time.Hour)
			ahead := random.Int64N(6000) - 3000
			if random.IntN(3) == 0 {
				_, _ = resyncAt(v, now, ahead, &entry)
			} else {
				drift := int64(entry.Used[v.Fingerprint()].Drift)
				v.Verify(codeAt(v, now, drift+random.Int64N(5)-2), now, &entry)
			}
			use, known := entry.Used[v.Fingerprint()]
			if !known || use.Step == last {
				continue
			}
			if use.Step < last {
				t.Fatalf("seed %d: step %d after %d", seed, use.Step, last)
			}
			last = use.Step
			used = append(used, last-1, last)
			v.burned(t, entry, used, now)
		}
		for range 5 {
			v.burnedPair(t, entry, used[random.IntN(len(used))])
		}
		if len(used) < 10 {
			t.Fatalf("seed %d: %d codes were accepted, too few to try", seed, len(used))
		}
	}
}

// burned gives every used code again, forwards and backwards.
func (t TOTP) burned(test *testing.T, entry ledger.Entry, used []int64, now time.Time) {
	test.Helper()
	drift := int64(entry.Used[t.Fingerprint()].Drift)
	replay := copyOf(entry)
	for i := range used {
		for _, step := range []int64{used[i], used[len(used)-1-i]} {
			for _, at := range []time.Time{now, time.Unix(step*30, 0), time.Unix((step-drift)*30, 0)} {
				if got := t.Verify(oath(t.Factor.Secret, step, 6, "SHA1"), at, &replay); got == Right {
					test.Fatalf("the used code of step %d logs in", step)
				}
			}
		}
	}
}

// burnedPair resynchronises with a used code and the one before or after it.
func (t TOTP) burnedPair(test *testing.T, entry ledger.Entry, step int64) {
	test.Helper()
	for _, first := range []int64{step - 1, step} {
		replay, at := copyOf(entry), time.Unix(first*30, 0)
		_, err := Resync(t.User, t.Factor, oath(t.Factor.Secret, first, 6, "SHA1"), oath(t.Factor.Secret, first+1, 6, "SHA1"), at, &replay)
		if !errors.Is(err, ErrOld) || !maps.Equal(replay.Used, entry.Used) {
			test.Fatalf("the used code of step %d resynchronises: %v", step, err)
		}
	}
}

// No resynchronisation makes guessing easier than twice the window.
func TestResyncDoesNotWidenTheWindow(t *testing.T) {
	for _, use := range []ledger.Use{
		{Drift: 1000, Resynced: 1000}, {Drift: -2880, Resynced: -2880}, {Drift: 20}, {Drift: 1_000_000_000},
		{Drift: 1_000_000_000, Resynced: 2_000_000_000}, {Drift: -1_000_000_000, Resynced: 1}, {Drift: 0, Resynced: 1000},
	} {
		v := verifier()
		right := 0
		for offset := int64(-6000); offset <= 6000; offset++ {
			entry := ledger.Entry{Used: map[string]ledger.Use{v.Fingerprint(): use}}
			if v.Verify(codeAt(v, noon, offset), noon, &entry) == Right {
				right++
			}
		}
		if right > 2*(2*v.Window+1) {
			t.Errorf("%+v: %d codes are right at once", use, right)
		}
	}
}

// Of codes with one digit many places match. None of them is believed.
func TestResyncRefusesTwoPlaces(t *testing.T) {
	v := verifier()
	v.Factor.Digits = 1
	var entry ledger.Entry
	for ahead := range int64(5) {
		if got, err := resyncAt(v, noon, ahead, &entry); !errors.Is(err, ErrSeveral) || entry.Used != nil {
			t.Errorf("%d ahead: %d, %v", ahead, got, err)
		}
	}
}

func TestResyncOfATokenWithACounter(t *testing.T) {
	h := token()
	h.Factor.Counter = 5000
	for _, test := range []struct {
		counter int64 // of the first code
		want    int
		err     error
	}{
		{5000, 0, nil}, {5001, 1, nil}, {5700, 700, nil}, {5999, 999, nil}, {6000, 0, ErrNowhere},
		{4999, 0, ErrOld}, {4300, 0, ErrOld}, {3999, 0, ErrNowhere},
	} {
		var entry ledger.Entry
		got, err := Resync("alice", h.Factor, h.code(test.counter), h.code(test.counter+1), noon, &entry)
		if got != test.want || !errors.Is(err, test.err) || (err == nil) != (entry.Used != nil) {
			t.Errorf("%d: %d, %v", test.counter, got, err)
		}
		if err != nil {
			continue
		}
		for counter := test.counter - 2; counter <= test.counter+1; counter++ {
			if got := h.Verify(h.code(counter), &entry); got != Used {
				t.Errorf("resynchronised at %d, then %d: %v", test.counter, counter, got)
			}
			if _, err := Resync("alice", h.Factor, h.code(counter), h.code(counter+1), noon, &entry); !errors.Is(err, ErrOld) {
				t.Errorf("resynchronised at %d, again with %d: %v", test.counter, counter, err)
			}
		}
		if got := h.Verify(h.code(test.counter+2), &entry); got != Right {
			t.Errorf("the code after %d: %v", test.counter, got)
		}
	}
}
