package migrate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

const key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" // "12345678901234567890" of RFC 4226

// noon is in a step of 30 seconds that begins with it.
var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	here = noon.Unix() / 30
)

func googleText(lines ...string) string { return key + "\n" + strings.Join(lines, "\n") + "\n" }

// googleTest is a file of google-authenticator and what is to be made of it.
type googleTest struct {
	text    string
	kind    account.Kind
	period  int
	counter int64
	use     *ledger.Use
	scratch int
	window  Window
	remark  string
}

func at(step int64) string { return fmt.Sprint(step) }

var googleTests = map[string]googleTest{
	"as it is made": {
		text: googleText(`" RATE_LIMIT 3 30`, `" WINDOW_SIZE 17`, `" DISALLOW_REUSE`, `" TOTP_AUTH`, "11592670", "75165796"),
		kind: account.TOTP, period: 30, scratch: 2, window: Window{Steps: 8},
	},
	"codes that were used": {
		text: googleText(`" DISALLOW_REUSE `+at(here-1)+" "+at(here)+" "+at(here-2), `" TOTP_AUTH`),
		kind: account.TOTP, period: 30, use: &ledger.Use{Step: here}, window: Window{Steps: 1},
	},
	"reuse allowed, and somebody tried": {
		text: googleText(fmt.Sprintf(`" RATE_LIMIT 3 30 %d %d`, noon.Unix()-40, noon.Unix()-70), `" TOTP_AUTH`),
		kind: account.TOTP, period: 30, use: &ledger.Use{Step: here - 2 + 1}, window: Window{Steps: 1},
	},
	"reuse allowed, and nobody tried": {
		text: googleText(`" RATE_LIMIT 3 30`, `" TOTP_AUTH`), kind: account.TOTP, period: 30, window: Window{Steps: 1},
	},
	"nothing is said of what was used": {
		text: googleText(`" TOTP_AUTH`, `" WINDOW_SIZE 2`), kind: account.TOTP, period: 30, use: &ledger.Use{Step: here + 1},
		window: Window{Steps: 1}, remark: "those until 12:01:00 UTC count as used",
	},
	"a clock that is off": {
		text: googleText(`" TIME_SKEW -300`, `" RATE_LIMIT 3 30 `+fmt.Sprint(noon.Unix()-60), `" DISALLOW_REUSE `+at(here-310), `" TOTP_AUTH`),
		kind: account.TOTP, period: 30, use: &ledger.Use{Step: here - 2 - 300 + 1, Drift: -300, Resynced: -300}, window: Window{Steps: 1},
	},
	"a clock that is off, by nothing else": {
		text: googleText(`" TIME_SKEW 4`, `" DISALLOW_REUSE `+at(here+9), `" TOTP_AUTH`),
		kind: account.TOTP, period: 30, use: &ledger.Use{Step: here + 9, Drift: 4, Resynced: 4}, window: Window{Steps: 1}, remark: "count as used",
	},
	"another step": {
		text: googleText(`" STEP_SIZE 60`, `" DISALLOW_REUSE`, `" TOTP_AUTH`), kind: account.TOTP, period: 60, window: Window{Steps: 1},
	},
	"a counter": {
		text: googleText(`" WINDOW_SIZE 3`, `" HOTP_COUNTER 7`, "92525981"), kind: account.HOTP, counter: 7, scratch: 1, window: Window{Codes: 2},
	},
	"a counter wins": {text: googleText(`" TOTP_AUTH`, `" HOTP_COUNTER 1`), kind: account.HOTP, counter: 1, window: Window{Codes: 2}},
	"the first of two": {
		text: googleText(`" HOTP_COUNTER 9`, `" HOTP_COUNTER 3`), kind: account.HOTP, counter: 9, window: Window{Codes: 2},
	},
	"options nobody knows": {
		text: googleText(`" LAST0 192.0.2.1 1795000000`, `" FOO`, `"BAR`, "\" HOTP_COUNTER\t2"), kind: account.HOTP, counter: 2, window: Window{Codes: 2},
	},
	"line ends of another system": {
		text: strings.ReplaceAll(googleText(`" HOTP_COUNTER 2`, "11592670"), "\n", "\r\n"), kind: account.HOTP, counter: 2, scratch: 1, window: Window{Codes: 2},
	},
	"codes behind what is none": {
		text: googleText(`" HOTP_COUNTER 2`, "11592670", "my codes", "75165796"), kind: account.HOTP, counter: 2, scratch: 1,
		window: Window{Codes: 2}, remark: "line 4 is neither",
	},
	"a code that begins with 0": {
		text: googleText(`" HOTP_COUNTER 2`, "01592670"), kind: account.HOTP, counter: 2, window: Window{Codes: 2}, remark: "line 3 is neither",
	},
	"a key typed by hand": {
		text: "gezd gnbv-GY3TQ0JQ GEZDGNBVGY3TQOJQA\n\" HOTP_COUNTER 2\n", kind: account.HOTP, counter: 2, window: Window{Codes: 2},
	},
}

func TestGoogle(t *testing.T) {
	for name, test := range googleTests {
		t.Run(name, func(t *testing.T) {
			expectGoogle(t, test)
		})
	}
}

func expectGoogle(t *testing.T, test googleTest) {
	t.Helper()
	p := GoogleAuthenticator("alice", []byte(test.text), noon)
	if p.Err != nil || p.User != "alice" || len(p.Factors) != 1 {
		t.Fatalf("%+v", p)
	}
	want := account.Factor{ID: "phone", Kind: test.kind, Digits: 6, Period: test.period, Counter: test.counter, Algorithm: "SHA1"}
	if test.kind == account.HOTP {
		want.ID = "token"
	}
	f := p.Factors[0]
	secret := string(f.Factor.Secret)
	f.Factor.Secret = nil
	if fmt.Sprint(f.Factor) != fmt.Sprint(want) || secret != "12345678901234567890" {
		t.Errorf("%+v", f.Factor)
	}
	if (f.Use == nil) != (test.use == nil) || f.Use != nil && *f.Use != *test.use {
		t.Errorf("used: %+v, want %+v", f.Use, test.use)
	}
	if len(p.Scratch) != test.scratch || p.Window != test.window {
		t.Errorf("%d scratch codes, window %+v", len(p.Scratch), p.Window)
	}
	if remarks := strings.Join(p.Remarks, "\n"); (test.remark == "") != (remarks == "") || !strings.Contains(remarks, test.remark) {
		t.Errorf("remarks %q", remarks)
	}
}

func TestGoogleRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "the key in line 1",
		"not a key!\n":                    "the key in line 1",
		"GEZDGNBV\n":                      "the key in line 1: expected 10 bytes", // it has 5
		key + "=\n":                       "a key in base32",
		key + "\n11592670\n":              "neither TOTP_AUTH nor HOTP_COUNTER",
		googleText(`" TOTP_AUTH`, "\x00"): "NUL",
		googleText(`" HOTP_COUNTER`):      "line 2: HOTP_COUNTER",
		googleText(`" HOTP_COUNTER 0`):    "line 2: HOTP_COUNTER",
		googleText(`" HOTP_COUNTER 99999999999999999999`):                     "line 2: HOTP_COUNTER",
		googleText(`" TOTP_AUTH`, `" WINDOW_SIZE 101`):                        "line 3: WINDOW_SIZE",
		googleText(`" TOTP_AUTH`, `" STEP_SIZE 0`):                            "line 3: STEP_SIZE",
		googleText(`" TOTP_AUTH`, `" TIME_SKEW 5000`):                         "line 3: TIME_SKEW",
		googleText(`" TOTP_AUTH`, `" DISALLOW_REUSE x`):                       "line 3: DISALLOW_REUSE",
		googleText(`" TOTP_AUTH`, `" DISALLOW_REUSE -4`):                      "line 3: DISALLOW_REUSE",
		googleText(`" TOTP_AUTH`, `" DISALLOW_REUSE 99999999999`):             "has not come yet",
		googleText(`" TOTP_AUTH`, fmt.Sprintf(`" RATE_LIMIT 3 30 %d`, 1<<40)): "has not come yet",
	} {
		p := GoogleAuthenticator("alice", []byte(text), noon)
		if p.Err == nil || !strings.Contains(p.Err.Error(), want) || len(p.Factors)+len(p.Scratch) > 0 {
			t.Errorf("%q: %v, %+v, want %q", text, p.Err, p.Imported, want)
		}
	}
}

// What the text holds is in no error and no remark, and what is returned is
// within the rules of a secret file.
func FuzzGoogle(f *testing.F) {
	f.Add(googleText(`" RATE_LIMIT 3 30 5`, `" TIME_SKEW 3`, `" DISALLOW_REUSE 7`, `" TOTP_AUTH`, "11592670"))
	f.Add(googleText(`" HOTP_COUNTER 3`, "11592670", "x", "75165796"))
	f.Fuzz(func(t *testing.T, text string) {
		p := GoogleAuthenticator("alice", []byte(text), noon)
		if p.Err != nil {
			if len(p.Factors)+len(p.Scratch) > 0 {
				t.Error("failed, and brings something along")
			}
			return
		}
		for _, code := range p.Scratch {
			if !slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), code) {
				t.Errorf("made up the code %q", code)
			}
		}
		if use := p.Factors[0].Use; use != nil && use.Step > here+3000+300 {
			t.Errorf("used until step %d", use.Step)
		}
		expectQuiet(t, p)
	})
}

// expectQuiet looks for keys and codes in what an admin is shown.
func expectQuiet(t *testing.T, p Person) {
	t.Helper()
	shown := strings.Join(p.Remarks, "\n") + fmt.Sprint(p.Err)
	for _, f := range p.Factors {
		if strings.Contains(shown, f.Factor.Secret.Base32()) {
			t.Errorf("shown: %q", shown)
		}
	}
	for _, code := range p.Scratch {
		if strings.Contains(shown, code) {
			t.Errorf("shown: %q", shown)
		}
	}
}
