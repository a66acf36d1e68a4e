package factor

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// TestRFC4226 has the values of RFC 4226 appendix D.
func TestRFC4226(t *testing.T) {
	secret := []byte("12345678901234567890")
	for counter, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := oath(secret, int64(counter), 6, "SHA1"); got != want {
			t.Errorf("counter %d: %s, want %s", counter, got, want)
		}
	}
}

// rfc6238 has the values of RFC 6238 appendix B; its seeds are as long as the
// hash (errata 2866).
var rfc6238 = []struct {
	unix                 int64
	sha1, sha256, sha512 string
}{
	{59, "94287082", "46119246", "90693936"},
	{1111111109, "07081804", "68084774", "25091201"},
	{1111111111, "14050471", "67062674", "99943326"},
	{1234567890, "89005924", "91819424", "93441116"},
	{2000000000, "69279037", "90698825", "38618901"},
	{20000000000, "65353130", "77737706", "47863826"},
}

func TestRFC6238(t *testing.T) {
	seed := strings.Repeat("1234567890", 7)
	for _, test := range rfc6238 {
		for algorithm, code := range map[string]string{"SHA1": test.sha1, "SHA256": test.sha256, "SHA512": test.sha512} {
			length := map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64}[algorithm]
			verifier := TOTP{User: "alice", Factor: account.Factor{Kind: account.TOTP, Secret: account.Secret(seed[:length]), Digits: 8, Period: 30, Algorithm: algorithm}}
			var entry ledger.Entry
			if got := verifier.Verify(code, time.Unix(test.unix, 0), &entry); got != Right {
				t.Errorf("%s at %d: %v", algorithm, test.unix, got)
			}
		}
	}
}

// TestAgainstOtherImplementation compares with an independent library.
func TestAgainstOtherImplementation(t *testing.T) {
	algorithms := map[string]otp.Algorithm{"SHA1": otp.AlgorithmSHA1, "SHA256": otp.AlgorithmSHA256, "SHA512": otp.AlgorithmSHA512}
	source := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		secret := make(account.Secret, 10+source.IntN(60))
		for i := range secret {
			secret[i] = byte(source.Uint32())
		}
		for name, algorithm := range algorithms {
			counter, digits := source.Uint64()>>1, 6+source.IntN(3)
			want, err := hotp.GenerateCodeCustom(secret.Base32(), counter, hotp.ValidateOpts{Digits: otp.Digits(digits), Algorithm: algorithm})
			if err != nil {
				t.Fatal(err)
			}
			if got := oath(secret, int64(counter), digits, name); got != want {
				t.Fatalf("%s %d digits: %s, want %s", name, digits, got, want)
			}
		}
	}
}

func verifier() TOTP {
	return TOTP{User: "alice", Window: 1, Factor: account.Factor{
		ID: "phone", Kind: account.TOTP, Secret: account.Secret("12345678901234567890"), Digits: 6, Period: 30, Algorithm: "SHA1"}}
}

func codeAt(v TOTP, now time.Time, offset int64) string {
	return oath(v.Factor.Secret, v.Step(now)+offset, v.Factor.Digits, v.Factor.Algorithm)
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestWindow(t *testing.T) {
	v := verifier()
	for offset := int64(-4); offset <= 4; offset++ {
		want := Wrong
		if offset >= -1 && offset <= 1 {
			want = Right
		}
		var entry ledger.Entry
		if got := v.Verify(codeAt(v, noon, offset), noon, &entry); got != want {
			t.Errorf("offset %d: %v, want %v", offset, got, want)
		}
	}
	v.Window = 0
	var entry ledger.Entry
	if got := v.Verify(codeAt(v, noon, 1), noon, &entry); got != Wrong {
		t.Errorf("window 0 took the next step's code: %v", got)
	}
}

func TestUsedAndOlderCodesAreRefused(t *testing.T) {
	v := verifier()
	var entry ledger.Entry
	if got := v.Verify(codeAt(v, noon, 0), noon, &entry); got != Right {
		t.Fatal(got)
	}
	for _, offset := range []int64{0, -1} {
		if got := v.Verify(codeAt(v, noon, offset), noon, &entry); got != Used {
			t.Errorf("offset %d after use: %v", offset, got)
		}
	}
	later := noon.Add(30 * time.Second)
	if got := v.Verify(codeAt(v, noon, 0), later, &entry); got != Used {
		t.Errorf("a step later: %v", got)
	}
	if got := v.Verify(codeAt(v, later, 0), later, &entry); got != Right {
		t.Errorf("the next code: %v", got)
	}
	// A machine whose clock is set back must not take used codes again.
	if got := v.Verify(codeAt(v, noon, 0), noon, &entry); got != Used {
		t.Errorf("clock set back: %v", got)
	}
}

func TestEverySpellingOfACodeButOneIsWrong(t *testing.T) {
	v := verifier()
	code := codeAt(v, noon, 0)
	fullWidth := ""
	for _, r := range code {
		fullWidth += string(r - '0' + '０')
	}
	for _, spelling := range []string{
		"", " ", code + " ", " " + code, code + "\n", code + "\x00", code + "\r", "\t" + code, code[:3] + " " + code[3:], code[:3] + "-" + code[3:],
		"+" + code[1:], "0" + code, code + "0", code[:5], fullWidth, code + code, "0x" + code[:4], strings.Repeat("0", 5000), "-00001", "1e0005",
	} {
		for _, used := range []bool{false, true} {
			var entry ledger.Entry
			if used {
				v.Verify(code, noon, &entry)
			}
			if got := v.Verify(spelling, noon, &entry); got != Wrong {
				t.Errorf("%q (used before: %v): %v", spelling, used, got)
			}
		}
	}
}

func TestDriftIsRememberedAndForgotten(t *testing.T) {
	v := verifier()
	var entry ledger.Entry
	now := noon
	// A clock that loses a step at every login stays right, up to a bound.
	behind := int64(0)
	for range maxDrift {
		behind--
		now = now.Add(time.Hour)
		if got := v.Verify(codeAt(v, now, behind), now, &entry); got != Right {
			t.Fatalf("%d steps behind: %v", -behind, got)
		}
	}
	now = now.Add(time.Hour)
	if got := v.Verify(codeAt(v, now, -maxDrift-2), now, &entry); got != Wrong {
		t.Errorf("past the bound: %v", got)
	}
	// Between the true time and the drift nothing is right.
	if got := v.Verify(codeAt(v, now, -maxDrift/2), now, &entry); got != Wrong {
		t.Errorf("between: %v", got)
	}
	// The person set the clock right.
	if got := v.Verify(codeAt(v, now, 0), now, &entry); got != Right {
		t.Errorf("clock set right: %v", got)
	}
	if use := entry.Used[v.Fingerprint()]; use.Drift != 0 {
		t.Errorf("drift %d", use.Drift)
	}
}

func TestFactorsDoNotShareWhatIsUsed(t *testing.T) {
	first, second := verifier(), verifier()
	second.Factor.Secret = account.Secret("another secret, longer")
	var entry ledger.Entry
	if got := first.Verify(codeAt(first, noon, 0), noon, &entry); got != Right {
		t.Fatal(got)
	}
	if got := second.Verify(codeAt(second, noon, 0), noon, &entry); got != Right {
		t.Errorf("another secret: %v", got)
	}
	other := verifier()
	other.User = "bob"
	if first.Fingerprint() == second.Fingerprint() || first.Fingerprint() == other.Fingerprint() {
		t.Error("fingerprints are the same")
	}
}

func TestUnknownKindAndAlgorithmDeny(t *testing.T) {
	v := verifier()
	v.Factor.Algorithm = "MD5"
	var entry ledger.Entry
	if got := v.Verify("000000", noon, &entry); got != Wrong {
		t.Error(got)
	}
	if got := (TOTP{}).Verify("", noon, &entry); got != Wrong {
		t.Errorf("zero verifier: %v", got)
	}
}

func TestRecovery(t *testing.T) {
	codes, recovery := NewRecovery("alice")
	if len(codes) != RecoveryCodes || len(recovery.Hashes) != RecoveryCodes {
		t.Fatalf("%d codes, %d hashes", len(codes), len(recovery.Hashes))
	}
	alice := account.Person{User: "alice", Recovery: recovery}
	bob := account.Person{User: "bob", Recovery: recovery}
	var entry ledger.Entry
	for _, spelling := range []string{"", codes[0] + " ", " " + codes[0], strings.ToUpper(codes[0]), strings.ReplaceAll(codes[0], "-", ""), codes[0][:18], codes[0] + "x", recovery.Hashes[0]} {
		if got := VerifyRecovery(alice, spelling, &entry); got != Wrong {
			t.Errorf("%q: %v", spelling, got)
		}
	}
	if got := VerifyRecovery(bob, codes[0], &entry); got != Wrong {
		t.Errorf("somebody else's code: %v", got)
	}
	if got := VerifyRecovery(alice, codes[0], &entry); got != Right {
		t.Errorf("first use: %v", got)
	}
	if got := VerifyRecovery(alice, codes[0], &entry); got != Used {
		t.Errorf("second use: %v", got)
	}
	if left := RecoveryLeft(alice, entry); left != RecoveryCodes-1 {
		t.Errorf("%d left", left)
	}
	seen := map[string]bool{}
	for _, code := range codes {
		if !IsRecovery(code) || seen[code] {
			t.Errorf("code %q", code)
		}
		seen[code] = true
	}
}

func FuzzVerify(f *testing.F) {
	v := verifier()
	f.Add(codeAt(v, noon, 0))
	f.Add("abcd-efgh-jkmn-pqrs")
	f.Fuzz(func(t *testing.T, text string) {
		var entry ledger.Entry
		got := v.Verify(text, noon, &entry)
		want := Wrong
		for offset := int64(-1); offset <= 1; offset++ {
			if text == codeAt(v, noon, offset) {
				want = Right
			}
		}
		if got != want || (got == Right) != (len(entry.Used) == 1) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		_, recovery := NewRecovery("alice")
		if VerifyRecovery(account.Person{User: "alice", Recovery: recovery}, text, &entry) != Wrong {
			t.Errorf("%q passed for a recovery code", text)
		}
	})
}
