package e2e

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// stackOutcome is what a stack made of a login: whether a code was asked, and
// whether pam_authenticate said yes.
type stackOutcome struct{ asked, in bool }

// stackLogin gives password to the first prompt and code to the second.
func stackLogin(t *testing.T, service string, p *machine.Person, password, code string) stackOutcome {
	t.Helper()
	host := hosts.StartHost(t, service, p.Name, hosts.HostOptions{RemoteHost: p.Address})
	var outcome stackOutcome
	for {
		switch event := host.Next(t); {
		case event.Kind == "prompt" && strings.Contains(event.Text, "Password"):
			host.Answer(password)
		case event.Kind == "prompt" && !outcome.asked:
			outcome.asked = true
			host.Answer(code)
		case event.Kind == "prompt":
			host.Refuse()
		case event.Kind == "verdict":
			outcome.in = event.Code == hosts.PAMSuccess
			return outcome
		case event.Kind != "tell":
			t.Fatalf("%s: %+v", service, event)
		}
	}
}

// The stacks of docs/pam-stacks.md, the wrong ones too: what the document says
// of each must be true. OTP stands for the module.
func TestStacks(t *testing.T) {
	t.Parallel()
	const unix, deny, permit = "pam_unix.so", "auth requisite pam_deny.so\n", "auth required pam_permit.so\n"
	in, out, unasked := stackOutcome{true, true}, stackOutcome{true, false}, stackOutcome{false, true}
	denied := stackOutcome{}
	for name, test := range map[string]struct {
		stack                       string
		right, wrong, wrongPassword stackOutcome
	}{
		"behind the include":       {"@include common-auth\nauth required OTP\n", in, out, denied},
		"between unix and deny":    {"auth [success=1 default=ignore] " + unix + "\nauth required OTP\n" + deny + permit, denied, denied, out},
		"between, success=2":       {"auth [success=2 default=ignore] " + unix + "\nauth required OTP\n" + deny + permit, unasked, unasked, out},
		"include with sufficient":  {"auth include inner-SERVICE\nauth required OTP\n", unasked, unasked, out},
		"substack with sufficient": {"auth substack inner-SERVICE\nauth required OTP\n", in, out, out},
		"within":                   {"auth [success=1 default=ignore] " + unix + "\n" + deny + "auth required OTP\n", in, out, denied},
		"a jump in the last line":  {"@include common-auth\nauth [success=1 default=ignore] OTP\n", out, in, denied},
		"split alone":              {"auth required OTP split\n@include common-auth\n", unasked, unasked, denied},
		"module missing":           {"@include common-auth\nauth required OTP.missing\n", denied, denied, denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := machine.NewPerson(t, "pam")
			here := machine.NewSite(t, "stack-"+p.Name, "")
			p.Enroll(t, here.Users)
			service := here.Name
			otp := machine.Module + " " + strings.Join(here.Arguments("protocol=ssh"), " ")
			stack := strings.NewReplacer("OTP.missing", machine.Module+".missing", "OTP", otp, "SERVICE", service).Replace(test.stack)
			machine.WriteService(t, "inner-"+service, "auth sufficient "+unix+"\nauth required pam_deny.so\n")
			machine.WriteService(t, service, stack+"account required pam_permit.so\n")
			for _, login := range []struct {
				what, password, code string
				want                 stackOutcome
			}{
				{"right code", p.Password, p.Code(t, 0), test.right},
				{"wrong code", p.Password, p.Wrong(t), test.wrong},
				{"wrong password", "not-" + p.Password, p.Code(t, 1), test.wrongPassword},
			} {
				password := login.password
				if strings.Contains(test.stack, "split") {
					password += login.code
				}
				if got := stackLogin(t, service, p, password, login.code); got != login.want {
					t.Errorf("%s: asked and in %v, want %v", login.what, got, login.want)
				}
			}
		})
	}
}
