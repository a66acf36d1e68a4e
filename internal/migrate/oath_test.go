package migrate

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

var hexKey = hex.EncodeToString([]byte("12345678901234567890"))

// appCode is what an app shows, by an independent library.
func appCode(t *testing.T, at time.Time, period uint) string {
	t.Helper()
	code, err := totp.GenerateCodeCustom(key, at, totp.ValidateOpts{Period: period, Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestOath(t *testing.T) {
	zone := time.FixedZone("here", 3600)
	options := OathOptions{Zone: zone}
	said := func(at time.Time) string { return at.In(zone).Format(oathTime) }
	before := noon.Add(-time.Hour)
	for line, want := range map[string]struct {
		factor account.Factor
		use    *ledger.Use
		remark string
	}{
		"HOTP alice - KEY":                                                                 {newToken("token", nil, 6, 0), nil, ""},
		"HOTP\talice\t-\tKEY\t5":                                                           {newToken("token", nil, 6, 5), nil, ""},
		"HOTP/E alice + KEY 5 328482 2026-11-22T10:00:L":                                   {newToken("token", nil, 6, 6), nil, ""},
		"HOTP/E/8 alice - KEY 0 32848200 2026-11-22T10:00:00L":                             {newToken("token", nil, 8, 1), nil, ""},
		"HOTP/T30 alice - KEY":                                                             {newApp("phone", nil, 6, 30), nil, ""},
		"HOTP/T60/7 alice - KEY 3":                                                         {newApp("phone", nil, 7, 60), nil, ""},
		"HOTP/T30/6 alice - KEY 9 " + appCode(t, before, 30) + " " + said(before):          {newApp("phone", nil, 6, 30), &ledger.Use{Step: here - 120}, ""},
		"HOTP/T30 alice - KEY 9 " + appCode(t, before.Add(-90e9), 30) + " " + said(before): {newApp("phone", nil, 6, 30), &ledger.Use{Step: here - 123, Drift: -3}, ""},
		"HOTP/T60 alice - KEY 9 " + appCode(t, before, 60) + " " + said(before):            {newApp("phone", nil, 6, 60), &ledger.Use{Step: here/2 - 60}, ""},
		"HOTP/T30 alice - KEY 9 000000 " + said(before):                                    {newApp("phone", nil, 6, 30), &ledger.Use{Step: here}, "line 1: its last code"},
		"HOTP/T30 alice - KEY 9 " + appCode(t, noon.Add(60e9), 30) + " " + said(before):    {newApp("phone", nil, 6, 30), &ledger.Use{Step: here + 2}, "line 1: its last code"},
		"HOTP/T30 alice - KEY 9 " + appCode(t, noon, 30):                                   {newApp("phone", nil, 6, 30), &ledger.Use{Step: here}, "line 1: its last code"},
	} {
		t.Run(strings.Fields(line)[0], func(t *testing.T) {
			people := Oath([]byte(strings.Replace(line, "KEY", hexKey, 1)), noon, options)
			if len(people) != 1 || people[0].Err != nil || people[0].User != "alice" || len(people[0].Factors) != 1 {
				t.Fatalf("%q: %+v", line, people)
			}
			p, f := people[0], people[0].Factors[0]
			expectQuiet(t, p)
			if string(f.Factor.Secret) != "12345678901234567890" {
				t.Error("another key")
			}
			f.Factor.Secret = nil
			if fmt.Sprint(f.Factor) != fmt.Sprint(want.factor) {
				t.Errorf("%q: %+v", line, f.Factor)
			}
			if (f.Use == nil) != (want.use == nil) || f.Use != nil && *f.Use != *want.use {
				t.Errorf("%q: used %+v, want %+v", line, f.Use, want.use)
			}
			if remarks := strings.Join(p.Remarks, "\n"); (want.remark == "") != (remarks == "") || !strings.Contains(remarks, want.remark) {
				t.Errorf("%q: remarks %q", line, remarks)
			}
		})
	}
}

func TestOathLines(t *testing.T) {
	text := strings.ReplaceAll(`# people

HOTP alice - KEY 3
HOTP/T30 bob 1234 KEY
HOTP alice - KEYaa 9 123456 2026-11-22T10:00:00L
HOTP/T30 alice - KEYbb
MOTP carol - KEY
HOTP carol - KEY
HOTP
`, "KEY", hexKey)
	people := Oath([]byte(text), noon, OathOptions{Zone: time.UTC})
	if len(people) != 4 {
		t.Fatalf("%d people", len(people))
	}
	alice, bob, carol, nobody := people[0], people[1], people[2], people[3]
	if alice.Err != nil || fmt.Sprint(alice.Lines) != "[3 5 6]" || len(alice.Factors) != 3 ||
		alice.Factors[0].Factor.ID != "token" || alice.Factors[1].Factor.ID != "token2" || alice.Factors[1].Factor.Counter != 10 ||
		alice.Factors[2].Factor.ID != "phone" {
		t.Errorf("alice: %+v", alice)
	}
	if !errors.Is(bob.Err, ErrPIN) || !strings.Contains(bob.Err.Error(), "line 4: ") || strings.Contains(bob.Err.Error(), "1234") {
		t.Errorf("bob: %v", bob.Err)
	}
	if carol.Err == nil || !strings.Contains(carol.Err.Error(), "line 7: expected the type") || strings.Contains(carol.Err.Error(), "line 8") {
		t.Errorf("carol: %v", carol.Err)
	}
	if nobody.User != "" || nobody.Err == nil {
		t.Errorf("a line without a name: %+v", nobody)
	}
	people = Oath([]byte(text), noon, OathOptions{Zone: time.UTC, WithoutPINs: true})
	if bob := people[1]; bob.Err != nil || len(bob.Factors) != 1 || len(bob.Remarks) != 1 || strings.Contains(bob.Remarks[0], "1234") {
		t.Errorf("bob without a PIN: %+v", bob)
	}
}

func TestOathRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"HOTP/T30/9 alice - KEY":                  "expected the type",
		"HOTP/X alice - KEY":                      "expected the type",
		"hotp alice - KEY":                        "expected the type",
		"HOTP/E/6/7 alice - KEY":                  "expected the type",
		"HOTP alice -":                            "expected at least",
		"HOTP alice - 00":                         "too short",
		"HOTP alice - xyz":                        "hexadecimal",
		"HOTP alice - KEY -1":                     "the counter",
		"HOTP alice - KEY five":                   "the counter",
		"HOTP/T30 alice - KEY 1 123456 yesterday": "the time of the last code",
	} {
		people := Oath([]byte(strings.Replace(line, "KEY", hexKey, 1)), noon, OathOptions{Zone: time.UTC})
		if len(people) != 1 || people[0].Err == nil || !strings.Contains(people[0].Err.Error(), want) || len(people[0].Factors) > 0 {
			t.Errorf("%q: %+v, want %q", line, people, want)
		}
	}
}

func FuzzOath(f *testing.F) {
	f.Add("HOTP alice - " + hexKey + " 5 123456 2026-11-22T10:00:00L\nHOTP/T30/6 alice 12 " + hexKey)
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range Oath([]byte(text), noon, OathOptions{Zone: time.UTC}) {
			if len(p.Factors) == 0 && p.Err == nil {
				t.Errorf("%q: neither factors nor an error", p.User)
			}
			expectQuiet(t, p)
		}
	})
}
