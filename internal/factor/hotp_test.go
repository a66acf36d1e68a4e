package factor

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

func token() HOTP {
	return HOTP{User: "alice", Window: 5, Factor: account.Factor{
		ID: "token", Kind: account.HOTP, Secret: account.Secret("12345678901234567890"), Digits: 6, Algorithm: "SHA1"}}
}

func (h HOTP) code(counter int64) string {
	return oath(h.Factor.Secret, counter, h.Factor.Digits, h.Factor.Algorithm)
}

func TestHOTPTakesTheCodesOfRFC4226(t *testing.T) {
	h := token()
	h.Window = 0
	var entry ledger.Entry
	for counter, code := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := h.Verify(code, &entry); got != Right {
			t.Errorf("counter %d: %v", counter, got)
		}
		if got := h.Verify(code, &entry); got != Used {
			t.Errorf("counter %d again: %v", counter, got)
		}
	}
}

func TestHOTPWindow(t *testing.T) {
	h := token()
	h.Factor.Counter = 100
	for offset := int64(-behind - 2); offset <= 8; offset++ {
		want := Wrong
		switch {
		case offset >= -behind && offset < 0:
			want = Used
		case offset >= 0 && offset <= 5:
			want = Right
		}
		var entry ledger.Entry
		if got := h.Verify(h.code(100+offset), &entry); got != want {
			t.Errorf("offset %d: %v, want %v", offset, got, want)
		}
		if (want == Right) != (entry.Used[Fingerprint("alice", h.Factor)] == ledger.Use{Step: 100 + offset}) {
			t.Errorf("offset %d: remembered %+v", offset, entry.Used)
		}
	}
	// Those that were passed over are gone with the one that was given.
	var entry ledger.Entry
	h.Verify(h.code(103), &entry)
	for counter := int64(100); counter <= 103; counter++ {
		if got := h.Verify(h.code(counter), &entry); got != Used {
			t.Errorf("counter %d after 103: %v", counter, got)
		}
	}
}

// A file that is edited, or restored from a backup, brings no used code back.
func TestHOTPCounterNeverGoesBack(t *testing.T) {
	h := token()
	h.Factor.Counter = 50
	var entry ledger.Entry
	if got := h.Verify(h.code(52), &entry); got != Right {
		t.Fatal(got)
	}
	for _, counter := range []int64{0, 49, 50} {
		h.Factor.Counter = counter
		if got := h.Verify(h.code(52), &entry); got != Used {
			t.Errorf("with the counter %d in the file: %v", counter, got)
		}
	}
	h.Factor.Counter = 60
	if got := h.Verify(h.code(53), &entry); got != Used {
		t.Errorf("a code before the file's counter: %v", got)
	}
	if got := h.Verify(h.code(60), &entry); got != Right {
		t.Errorf("the file's counter: %v", got)
	}
}

// TestHOTPAtMostOnce gives codes in random order. With two digits nearly every
// window holds one twice.
func TestHOTPAtMostOnce(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 0))
		h := token()
		h.Factor.Digits, h.Window, h.Factor.Counter = 2, random.IntN(60), random.Int64N(100)
		var entry ledger.Entry
		accepted := map[string]int64{}
		last, at := int64(-1), h.Factor.Counter
		for range 2000 {
			code := h.code(max(0, at+random.Int64N(80)-40))
			if h.Verify(code, &entry) != Right {
				continue
			}
			now := entry.Used[Fingerprint("alice", h.Factor)].Step
			if now <= last {
				t.Fatalf("seed %d: counter %d was accepted after %d", seed, now, last)
			}
			if before, seen := accepted[code]; seen && now <= before+int64(max(behind, h.Window)) {
				t.Fatalf("seed %d: %s was accepted at %d and at %d, window %d", seed, code, before, now, h.Window)
			}
			accepted[code] = now
			last, at = now, now+1
			if got := h.Verify(code, &entry); got != Used {
				t.Fatalf("seed %d: %s at once again: %v", seed, code, got)
			}
		}
		if last < 100 {
			t.Fatalf("seed %d: only came to %d", seed, last)
		}
	}
}

// The same digits twice in the window: whoever saw them cannot give them again,
// and the token is not left behind.
func TestHOTPSameDigitsTwice(t *testing.T) {
	h := token()
	h.Factor.Digits, h.Window = 2, 20
	first, second := int64(-1), int64(-1)
	for counter := int64(0); first < 0; counter++ {
		for later := counter + 1; later <= counter+int64(h.Window); later++ {
			if h.code(counter) == h.code(later) {
				first, second = counter, later
				break
			}
		}
	}
	h.Factor.Counter = first
	var entry ledger.Entry
	if got := h.Verify(h.code(first), &entry); got != Right {
		t.Fatal(got)
	}
	if use := entry.Used[Fingerprint("alice", h.Factor)]; use.Step != first {
		t.Errorf("counter %d, want the earliest, %d", use.Step, first)
	}
	for range int(second-first) + 2 {
		if got := h.Verify(h.code(first), &entry); got != Used {
			t.Fatalf("the same digits again, with %+v: %v", entry.Used, got)
		}
		next := entry.Used[Fingerprint("alice", h.Factor)].Step + 1
		mark(&entry, Fingerprint("alice", h.Factor), ledger.Use{Step: next})
	}
}

func TestHOTPDoesNotOverflow(t *testing.T) {
	for _, counter := range []int64{math.MaxInt64, math.MaxInt64 - 1, lastCounter, -1, math.MinInt64} {
		h := token()
		h.Window = 100
		h.Factor.Counter = counter
		var entry ledger.Entry
		if got := h.Verify(h.code(counter), &entry); got != Wrong || entry.Used != nil {
			t.Errorf("counter %d: %v", counter, got)
		}
		if _, found := h.Ahead(h.code(counter), 10, entry); found {
			t.Errorf("counter %d: found", counter)
		}
		h.Factor.Counter = 0
		mark(&entry, Fingerprint("alice", h.Factor), ledger.Use{Step: counter})
		for _, code := range []string{h.code(0), h.code(counter), h.code(counter + 1)} {
			if got := h.Verify(code, &entry); got != Wrong {
				t.Errorf("used up to %d: %v", counter, got)
			}
		}
		if _, err := Resync("alice", h.Factor, h.code(0), h.code(1), noon, &entry); err != ErrNowhere {
			t.Errorf("used up to %d: %v", counter, err)
		}
	}
}

func TestHOTPSpellings(t *testing.T) {
	h := token()
	for _, spelling := range []string{"", " ", "755224 ", " 755224", "755224\n", "755 224", "+55224", "0755224", "75522", "7552244"} {
		var entry ledger.Entry
		if got := h.Verify(spelling, &entry); got != Wrong {
			t.Errorf("%q: %v", spelling, got)
		}
		h.Verify("755224", &entry)
		if got := h.Verify(spelling, &entry); got != Wrong {
			t.Errorf("%q once the code is used: %v", spelling, got)
		}
	}
	var entry ledger.Entry
	h.Factor.Kind = account.TOTP
	if got := h.Verify("755224", &entry); got != Wrong {
		t.Errorf("another kind: %v", got)
	}
	if got := (HOTP{}).Verify("", &entry); got != Wrong {
		t.Errorf("zero verifier: %v", got)
	}
}

func TestVerifyByKind(t *testing.T) {
	settings := config.Default()
	settings.TOTP.Window, settings.HOTP.Window = 0, 3
	var entry ledger.Entry
	for _, test := range []struct {
		name string
		f    account.Factor
		code string
		want Outcome
	}{
		{"totp", verifier().Factor, codeAt(verifier(), noon, 0), Right},
		{"totp again", verifier().Factor, codeAt(verifier(), noon, 0), Used},
		{"totp outside its window", verifier().Factor, codeAt(verifier(), noon, 1), Wrong},
		{"hotp at its window", token().Factor, token().code(3), Right},
		{"hotp again", token().Factor, token().code(3), Used},
		{"hotp outside", token().Factor, token().code(8), Wrong},
		{"email", account.Factor{Kind: account.Email}, "", Wrong},
		{"sms with a secret", account.Factor{Kind: account.SMS, Secret: token().Factor.Secret, Digits: 6, Algorithm: "SHA1"}, token().code(4), Wrong},
		{"no kind", account.Factor{Secret: token().Factor.Secret, Digits: 6, Algorithm: "SHA1"}, token().code(4), Wrong},
	} {
		if got := Verify("alice", test.f, settings, test.code, noon, &entry); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	for text, want := range map[string]bool{"123456": true, "": false, "12345": false, "12345a": false} {
		if IsCode(token().Factor, text) != want || IsCode(verifier().Factor, text) != want || IsCode(account.Factor{Kind: account.Email}, text) || IsCode(account.Factor{}, text) {
			t.Errorf("form of %q", text)
		}
	}
}

func TestDisplacedInWords(t *testing.T) {
	totp, hotp := verifier().Factor, token().Factor
	var entry ledger.Entry
	mark(&entry, Fingerprint("alice", hotp), ledger.Use{Step: 9})
	for _, test := range []struct {
		f    account.Factor
		code string
		want string
	}{
		{totp, codeAt(verifier(), noon, -3), "3 steps (90 s) behind"},
		{totp, codeAt(verifier(), noon, 1), "1 step (30 s) ahead"},
		{totp, codeAt(verifier(), noon, 121), ""},
		{hotp, token().code(10 + 21), "21 codes ahead"},
		{hotp, token().code(10 + 1), "1 code ahead"},
		{hotp, token().code(10 + 1000), "1000 codes ahead"},
		{hotp, token().code(10 + 1001), ""},
		{hotp, token().code(9), ""},
		{account.Factor{Kind: account.Email}, "123456", ""},
	} {
		if got := Displaced("alice", test.f, test.code, noon, entry); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	mark(&entry, Fingerprint("alice", totp), ledger.Use{Drift: -990, Resynced: -1000})
	for ahead, want := range map[int64]string{-1030: "1030 steps (30900 s) behind", -970: "970 steps (29100 s) behind", 5: "5 steps (150 s) ahead", -500: ""} {
		if got := Displaced("alice", totp, codeAt(verifier(), noon, ahead), noon, entry); got != want {
			t.Errorf("resynchronised: got %q, want %q", got, want)
		}
	}
	if got := Displaced("alice", totp, codeAt(verifier(), time.Unix(0, 0), 0), time.Unix(0, 0).Add(time.Hour), ledger.Entry{}); got != "120 steps (3600 s) behind" {
		t.Error(got)
	}
}
