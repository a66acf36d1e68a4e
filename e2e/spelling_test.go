package e2e

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// People whom only the password stage knows, such as a data base's, are asked for
// their codes whatever case they write their names in.
func TestAnotherCaseOfAStrangersName(t *testing.T) {
	onAllPaths(t, "case", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.CodeOnly(t, here.Name, "protocol=login")
		p := machine.WithoutUser("case").Enroll(t, here.Users)
		other := strings.ToUpper(p.Name)
		code := p.Code(t, 0)
		for _, try := range []struct {
			name, code string
			in         bool
		}{{other, p.Wrong(t), false}, {other, code, true}, {p.Name, code, false}} {
			host := hosts.StartHost(t, here.Name, try.name, hosts.HostOptions{})
			if verdict := host.Verdict(t, try.code); (verdict == hosts.PAMSuccess) != try.in {
				t.Errorf("%s: expected in %v, found %d", try.name, try.in, verdict)
			}
		}
	})
}
