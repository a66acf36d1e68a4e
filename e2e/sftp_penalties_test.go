package e2e

import (
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// One person's client goes on with an old password. Who comes from the same
// address is let in all the same: a right login forgives some of what was wrong,
// and where the address is exempt nothing counts.
func TestSFTPColleagueBehindTheSameAddress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limits string
		wrong  int // connections, of three wrong passwords, before each right login
	}{
		"forgiven": {"", 1},
		"exempt":   {`limits.penalty_exempt = ["127.0.0.0/8"]` + "\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSFTPD(t, "sftp-colleague-"+name, noCodes, test.limits)
			broken, colleague := machine.NewPerson(t, "sfx"), machine.NewPerson(t, "sfx")
			broken.Address = colleague.Address
			alone := []string{"PreferredAuthentications=password", "NumberOfPasswordPrompts=3"}
			for range 3 {
				for range test.wrong {
					d := s.Login(t, broken, machine.Answers{Passwords: []string{"old one", "old one", "old one"}}, alone)
					if expectOut(t, broken, d, 0); d.Passwords != 3 {
						t.Fatalf("%d of 3 passwords were asked for:\n%s", d.Passwords, d.Transcript)
					}
				}
				expectIn(t, colleague, s.Login(t, colleague, answers(colleague), nil), 0)
			}
		})
	}
}
