package gate

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/enrollment"
)

// Apps show a code in two groups, "123 456". It is refused as it is typed, and
// the person is told what is wrong with it.
func TestCodeWithASpaceIsToldSo(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	code := p.Code(t, "alice", 0)
	conversation := says(code[:3]+" "+code[3:], code)
	expect(t, p.login("alice", conversation), Accept, "totp:phone")
	if len(conversation.told) == 0 || !strings.Contains(conversation.told[0], "without spaces") {
		t.Errorf("told %q", conversation.told)
	}
	if told := firstCodeHint(enrollment.WrongCodeError{Malformed: true, Digits: 6}); !strings.Contains(told, "6 digits and no spaces") {
		t.Errorf("told %q at an enrollment", told)
	}
}
