package e2e

import (
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// saslauthd has one field and tells PAM no address: each code is good once, also
// where logins are remembered.
func TestFieldSASLAuthd(t *testing.T) {
	onBothPaths(t, "saslauthd-field", "[policy]\nsessions = { login = \"12h\" }\n", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
		server := hosts.StartSASLAuthd(t, here.Name)
		p := machine.NewPerson(t, "sas").Enroll(t, here.Users)
		field := p.Password + p.Code(t, 0)
		for _, try := range []struct {
			field string
			want  bool
		}{{p.Password + p.Wrong(t), false}, {p.Password, false}, {"not-" + field, false}, {field, true}, {field, false}} {
			if in := server.In(t, p, try.field); in != try.want {
				t.Errorf("expected in: %v, found %v\n%s", try.want, in, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
		}
		if accepted := machine.Log.Lines("user="+p.Name+" ", "verdict=accepted"); len(accepted) != 1 {
			t.Errorf("expected one code to be accepted, found\n%s", machine.Text(accepted))
		}
	})
}

// Postfix has saslauthd ask PAM about who sends mail.
func TestFieldPostfix(t *testing.T) {
	onBothPaths(t, "postfix-field", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
		fieldTest{here, here.Name, "login", ""}.run(t, hosts.StartPostfix(t, here.Name))
	})
}

// With -c, also among other options, saslauthd takes a used code again and does
// not ask PAM, so that nothing can be done about it but to find it: see the
// doctor.
func TestSASLAuthdRemembers(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "saslauthd-cache", "")
	here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
	for _, option := range []string{"-c", "-rc"} {
		server := hosts.StartSASLAuthd(t, here.Name, option)
		p := machine.NewPerson(t, "sas").Enroll(t, here.Users)
		field := p.Password + p.Code(t, 0)
		for range 2 {
			if !server.In(t, p, field) {
				t.Errorf("%s: expected that it is remembered\n%s", option, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
		}
		if lines := machine.Log.Lines("otpgate[", "user="+p.Name+" "); len(lines) != 1 {
			t.Errorf("%s: expected the one line of the first login, found\n%s", option, machine.Text(lines))
		}
	}
}
