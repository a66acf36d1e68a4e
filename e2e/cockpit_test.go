package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// Cockpit's page asks for the code behind the password, as PAM does.
func TestCockpit(t *testing.T) {
	onBothPaths(t, "cockpit", "", func(t *testing.T, here machine.Site) {
		stock, err := os.ReadFile(machine.Root + "/pam.d/cockpit")
		must(t, err)
		machine.WriteService(t, "cockpit", string(stock))
		// What it tries before it writes forks a core, also where logins will not.
		forked := here.Over(machine.Forked)
		enable := []string{"--config=" + here.Config, "pam", "enable", "cockpit", "--module=" + machine.Module, "--confirm-within=0s"}
		for _, argument := range forked.Arguments("protocol=login") {
			enable = append(enable, "--argument="+argument)
		}
		otpctl(t, 0, enable...)
		enabled, err := os.ReadFile("/etc/pam.d/cockpit")
		must(t, err)
		machine.WriteService(t, "cockpit", strings.Replace(string(enabled), forked.Line("protocol=login"), here.Line("protocol=login"), 1))
		server := hosts.StartCockpit(t)
		p := machine.NewPerson(t, "coc").Enroll(t, here.Users)
		code, wrong := p.Code(t, 0), p.Wrong(t)
		for _, try := range []struct {
			password string
			codes    []string
			want     bool
			asked    int
		}{
			{p.Password, []string{wrong, wrong, wrong}, false, 3},
			{"not-" + p.Password, []string{code}, false, 0},
			{p.Password, nil, false, 1},
			{p.Password, []string{wrong, code}, true, 2},
			{p.Password, []string{code, code, code}, false, 3},
		} {
			in, asked := server.Login(t, p, try.password, try.codes...)
			if in != try.want || len(asked) != try.asked {
				t.Errorf("expected in: %v after %d questions, found %v after %q\n%s", try.want, try.asked, in, asked, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
			for _, question := range asked {
				if !strings.Contains(question, "Verification code") {
					t.Errorf("expected to be asked for a code, found %q", question)
				}
			}
		}
		expectAudit(t, p, "service=cockpit", "protocol=login", "verdict=accepted", "remote=")
		doctor := []string{"--config=" + here.Config, "doctor", "--service=cockpit", "--ignore=clock-unsynchronised", "--ignore=state-volatile"}
		otpctl(t, 0, doctor...)

		// Debian's file has a substack, which a wrong password ends and not the whole.
		behind := strings.Replace(string(stock), "substack     common-auth", "substack     common-auth\n"+here.Line("protocol=login"), 1)
		machine.WriteService(t, "cockpit", behind)
		if in, asked := server.Login(t, p, "not-"+p.Password); in || len(asked) != 1 {
			t.Errorf("behind the substack: expected a question and a refusal, found in: %v after %q", in, asked)
		}
		if said := otpctl(t, 3, doctor...); !strings.Contains(said, "id:       asked-after-wrong-password") {
			t.Errorf("expected asked-after-wrong-password, found\n%s", said)
		}
	})
}
