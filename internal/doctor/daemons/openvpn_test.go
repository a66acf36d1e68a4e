package daemons

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/gate"
)

// Where a code is all that is asked, the plugin must have an answer to that prompt.
func TestAnswersCode(t *testing.T) {
	t.Parallel()
	if codePrompt != strings.ToLower(gate.Prompt) {
		t.Errorf("people are asked %q", gate.Prompt)
	}
	for answers, want := range map[string]bool{
		"": true, "verification PASSWORD": true, "Verification OTP": true, "login USERNAME verification PASSWORD": true,
		"login USERNAME password PASSWORD": false, "verification USERNAME": false, "code PASSWORD": false, "verification": false,
	} {
		if got := answersCode(strings.Fields(answers)); got != want {
			t.Errorf("%q: %t, expected %t", answers, got, want)
		}
	}
}
