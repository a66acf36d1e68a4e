package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// passwordStages are rows of docs/pam-stacks.md, and whether they go on to our
// line after a wrong password. Then strangers reach it, with all that it does.
var passwordStages = map[string]struct {
	stack   string
	reached bool
}{
	"include":  {"@include common-auth\nOTP\n", false},
	"within":   {"auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nOTP\n", false},
	"substack": {"auth substack inner-SERVICE\nOTP\n", true},
}

func onPasswordStages(t *testing.T, name, config string, test func(t *testing.T, here machine.Site, reached bool)) {
	t.Parallel()
	for stage, row := range passwordStages {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			here := machine.NewSite(t, name+"-"+stage, config)
			machine.WriteService(t, "inner-"+here.Name, "auth sufficient pam_unix.so\nauth required pam_deny.so\n")
			stack := strings.NewReplacer("OTP", here.Line("protocol=ssh"), "SERVICE", here.Name).Replace(row.stack)
			machine.WriteService(t, here.Name, stack+"account required pam_permit.so\n")
			test(t, here, row.reached)
		})
	}
}

// Whoever has not even the password enrolls in another's name where the stack
// lets him: he is not let in by that, but the app and the recovery codes are his.
func TestStrangerEnrolls(t *testing.T) {
	onPasswordStages(t, "stranger-enrolls", mustEnroll, func(t *testing.T, here machine.Site, reached bool) {
		p := machine.NewPerson(t, "victim")
		host := hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{RemoteHost: p.Address})
		for done := false; !done; {
			switch event := host.Next(t); {
			case event.Kind == "prompt" && strings.Contains(event.Text, "Password"):
				host.Answer("not-" + p.Password)
			case event.Kind == "prompt" && strings.Contains(event.Text, "Verification"):
				host.Answer(p.Code(t, 0))
			case event.Kind == "prompt":
				host.Answer("")
			case event.Kind == "tell":
				if key := regexp.MustCompile(`Key: ([A-Z2-7 ]+)`).FindStringSubmatch(event.Text); key != nil {
					p.Secret = strings.ReplaceAll(key[1], " ", "")
					machine.Keep(p.Secret)
				}
				machine.Keep(regexp.MustCompile(`[0-9a-z]{4}(-[0-9a-z]{4}){3}`).FindAllString(event.Text, -1)...)
			case event.Kind == "verdict":
				done = true
				if event.Code == hosts.PAMSuccess {
					t.Error("let in")
				}
			}
		}
		if files, err := os.ReadDir(here.Users); err != nil || (len(files) != 0) != reached {
			t.Errorf("secret files %v, %v, expected that a stranger enrolls: %v", files, err, reached)
		}
	})
}

// Likewise he has codes sent to others, at the site's cost, until the owner can
// have none.
func TestStrangerHasCodesSent(t *testing.T) {
	onPasswordStages(t, "stranger-sends", "", func(t *testing.T, here machine.Site, reached bool) {
		gateway := hosts.StartGateway(t)
		here.Configure(t, gateway.Settings(""))
		p := addressed(t, machine.NewPerson(t, "victim"), here, "sms")
		for range 2 {
			stackLogin(t, here.Name, p, "not-"+p.Password, "000000")
		}
		if sent := len(gateway.Messages()); (sent > 0) != reached {
			t.Errorf("%d messages were sent without the password, expected any: %v", sent, reached)
		}
	})
}
