package gate

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/enrollment"
)

// Apps show a code in two groups, "123 456". It is refused as it is typed, and
// the person is told what is wrong with it.
func TestCodeWithASpaceIsToldSo(t *testing.T) {
	p := newPlace(t)
	p.Give("alice")
	code := p.Code(t, "alice", 0)
	talk := says(code[:3]+" "+code[3:], code)
	expect(t, p.login("alice", talk), Accept, "totp:phone")
	if len(talk.told) == 0 || !strings.Contains(talk.told[0], "without spaces") {
		t.Errorf("told %q", talk.told)
	}
	if told := firstCodeHint(enrollment.WrongCodeError{Malformed: true, Digits: 6}); !strings.Contains(told, "6 digits and no spaces") {
		t.Errorf("told %q at an enrollment", told)
	}
}
