package transport

import (
	"errors"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/deliver"
)

func TestRedact(t *testing.T) {
	var s secrets
	s.keep(`Ab"4&7+`, "…")
	s.keep("+491511234567", "+49…567")
	s.keep("491511234567", "+49…567")
	s.keep("s3cret/pass", "…")
	for _, test := range []struct{ from, want string }{
		{"plain text, error 21211, HTTP 400", "plain text, error 21211, HTTP 400"},
		{"The 'To' number +491511234567 is not valid.", "The 'To' number +49…567 is not valid."},
		{"to=%2B491511234567&token=s3cret%2Fpass", "to=+49…567&token=…"},
		{"00491511234567 and 491511234567", "00+49…567 and +49…567"},
		{"+49 151 123-45.67, (0151) 1234567, 0151/1234567", "+…, (…, …"},
		{`code Ab"4&7+ {"c":"Ab\"4\u00267+"} Ab&#34;4&amp;7+ Ab%224%267%2B`, `code … {"c":"…"} … …`},
		{"code 471147, 471 147, 47-11-47", "code …, …, …"},
		{"2026-11-22 10.5", "…"},
		{"12345 and 123", "12345 and 123"},
		{"a\r\nb\x1b[2J", "a  b?[2J"},
		{strings.Repeat("x", 500), strings.Repeat("x", maxReason) + "…"},
	} {
		if got := s.text(test.from); got != test.want {
			t.Errorf("%q:\nexpected %q\nfound    %q", test.from, test.want, got)
		}
	}
	if got := s.in(errors.New("dial 192.0.2.1:5555: s3cret/pass\n+491511234567 12345678")).Error(); got != "dial 192.0.2.1:5555: … +49…567 12345678" {
		t.Errorf("found %q", got)
	}
	if s.in(nil) != nil {
		t.Error("made an error of none")
	}
}

func FuzzHideNumbers(f *testing.F) {
	f.Add("+49 151 1234567 and 471147")
	f.Add("1-2-3-4-5 6")
	f.Fuzz(func(t *testing.T, text string) {
		run := 0
		for _, c := range []byte(hideNumbers(text)) {
			run++
			if c < '0' || c > '9' {
				run = 0
			}
			if run >= longNumber {
				t.Fatalf("%q became %q", text, hideNumbers(text))
			}
		}
		if deliver.Clean(hideNumbers(text), 10) == "" && text != "" {
			t.Errorf("%q became nothing", text)
		}
	})
}
