package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// A login name that is no file name, or that a log cannot show, denies before
// any file is looked for, also where nobody must have a code.
func TestUserNames(t *testing.T) {
	onBothPaths(t, "names", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.CodeOnly(t, here.Name, "protocol=ssh")
		// What a way out of the directory would find.
		machine.WithoutUser("x").Enroll(t, here.Users+"/below")
		for _, name := range []string{
			"../users/x", "below/x", "/etc/passwd", "..", ".", ".hidden", "-x", "~x", "@all", "@x", " x", "x ",
			"x\ny", "x\x1b[31m", "x\x7f", "x\u200e", "x\xff", strings.Repeat("x", 201), strings.Repeat("x", 5000),
		} {
			t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
				t.Parallel()
				host := hosts.StartHost(t, here.Name, name, hosts.HostOptions{})
				if verdict := host.Verdict(t, "123456"); verdict == hosts.PAMSuccess {
					t.Errorf("expected a denial of %q, found %d", name, verdict)
				}
			})
		}
		// The address is PAM_RHOST: control characters in it reach no log.
		p := machine.WithoutUser("nat").Enroll(t, here.Users)
		host := hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{RemoteHost: "10.0.0.1\nuser=root verdict=accepted\x1b[2J"})
		host.Verdict(t, p.Wrong(t))
		expectAudit(t, p, "verdict=denied")
		for _, line := range machine.Log.Lines("otpgate") {
			if strings.ContainsFunc(line.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("a log line with control characters: %q", line.Text)
			}
		}
	})
}

// timeout= holds for the whole dialogue: a right code that comes later is too
// late, and nobody is asked again.
func TestTimeout(t *testing.T) {
	onAllPaths(t, "timeout", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.CodeOnly(t, here.Name, "protocol=ssh", "timeout=100")
		p := machine.WithoutUser("tim").Enroll(t, here.Users)
		host := hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{})
		host.Prompt(t, "Verification code")
		host.Later(101 * time.Second)
		host.Answer(p.Code(t, 0))
		if event := host.Next(t); event.Kind != "verdict" || event.Code == hosts.PAMSuccess {
			t.Errorf("expected a denial, found %+v", event)
		}
		machine.Log.Expect(t, "user="+p.Name+" ", "verdict=fault", "timeout=")
	})
}

// Addresses that guess are locked whoever they guess for; others are not.
func TestSourceLock(t *testing.T) {
	onAllPaths(t, "source", "[policy]\nattempts = { per_source = 3 }\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.CodeOnly(t, here.Name, "protocol=ssh")
		one, two := machine.WithoutUser("sol").Enroll(t, here.Users), machine.WithoutUser("sol").Enroll(t, here.Users)
		from := func(p *machine.Person, address string, codes ...string) int {
			return hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{RemoteHost: address}).Verdict(t, codes...)
		}
		wrong := one.Wrong(t)
		from(one, "192.0.2.1", wrong, wrong, wrong)
		if verdict := from(two, "192.0.2.1", two.Code(t, 0)); verdict == hosts.PAMSuccess {
			t.Error("expected that 192.0.2.1 is locked, found PAM_SUCCESS")
		}
		if verdict := from(two, "192.0.2.2", two.Code(t, 0)); verdict != hosts.PAMSuccess {
			t.Errorf("expected PAM_SUCCESS from 192.0.2.2, found %d", verdict)
		}
	})
}
