package authstack

import (
	"errors"
	"strings"
	"testing"
)

// A substack is set in, lines that are not reached have a dot, and colour
// changes nothing but colour.
func TestDraw(t *testing.T) {
	stack := stackOf(t, "auth substack inner\nauth required pam_otpgate.so split\nauth required pam_otpgate.so\nauth optional\n")
	var plain, coloured strings.Builder
	if err := errors.Join(Draw(&plain, stack, false), Draw(&coloured, stack, true)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"│ requisite", "» pam_otpgate.so split", " (broken)", "- (broken)", "perm_denied: goes on", "→",
	} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("%q is missing:\n%s", want, plain.String())
		}
	}
	bare := strings.NewReplacer("\x1b[32m", "", "\x1b[31m", "", "\x1b[1m", "", "\x1b[0m", "").Replace(coloured.String())
	if bare != plain.String() || !strings.Contains(coloured.String(), "\x1b[31mdenied\x1b[0m") {
		t.Errorf("expected colour and nothing else:\n%q", coloured.String())
	}
	for line := range strings.Lines(plain.String()) {
		if strings.HasSuffix(line, " \n") {
			t.Errorf("blanks at the end of %q", line)
		}
	}
}
