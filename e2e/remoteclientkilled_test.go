package e2e

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// answerUnread has the login answered while the server reads nothing.
func answerUnread(t *testing.T, server *machine.Server, login *hosts.Host, code string) {
	t.Helper()
	server.Gateway.Signal(t, syscall.SIGCONT)
	login.Prompt(t, "Verification code")
	server.Gateway.Signal(t, syscall.SIGSTOP)
	login.Answer(code)
	machine.Until(t, "the answer has reached the server", func() bool { return server.Unread(t) })
}

// Wherever in a login a client's verifier is killed, that login is denied: no core is
// forked for it, and no other server is asked. The code is good for the next one, unless
// a server has found it right by then.
func TestRemoteClientKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		// until leads the login to where the verifier is killed.
		until func(t *testing.T, server *machine.Server, client machine.Site, p *machine.Person, login *hosts.Host, code string)
		used  bool
	}{
		"asking": {func(t *testing.T, server *machine.Server, _ machine.Site, _ *machine.Person, _ *hosts.Host, _ string) {
			machine.Until(t, "the server is asked", func() bool { return server.Unread(t) })
		}, false},
		"prompt": {func(t *testing.T, server *machine.Server, _ machine.Site, _ *machine.Person, login *hosts.Host, _ string) {
			server.Gateway.Signal(t, syscall.SIGCONT)
			login.Prompt(t, "Verification code")
		}, false},
		"answered": {func(t *testing.T, server *machine.Server, _ machine.Site, _ *machine.Person, login *hosts.Host, code string) {
			answerUnread(t, server, login, code)
		}, true},
		"decided": {func(t *testing.T, server *machine.Server, client machine.Site, p *machine.Person, login *hosts.Host, code string) {
			answerUnread(t, server, login, code)
			client.Verifier.Signal(t, syscall.SIGSTOP)
			server.Gateway.Signal(t, syscall.SIGCONT)
			machine.Log.Expect(t, "user="+p.Name+" ", "client="+client.Name, "verdict=accepted")
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := machine.NewServer(t, "r-kill-"+name+"-s", "[totp]\nwindow = 3\n")
			var clients [2]machine.Site
			for i := range clients {
				clients[i] = machine.NewClient(t, fmt.Sprintf("r-kill-%s-%d", name, i), machine.Client{}, server)
				clients[i].CodeOnly(t, clients[i].Name, "protocol=ssh")
			}
			p := machine.WithoutUser("rem").Enroll(t, server.Users)
			code := p.Code(t, 0)
			server.Gateway.Signal(t, syscall.SIGSTOP)
			login := beginAt(t, clients[0], p)
			test.until(t, server, clients[0], p, login, code)
			clients[0].Verifier.Kill()
			server.Gateway.Signal(t, syscall.SIGCONT)
			if name == "prompt" {
				login.Answer(code)
			}
			if verdict := login.Verdict(t, code); verdict == hosts.PAMSuccess {
				t.Error("in though the verifier was killed")
			}
			if test.used {
				// The server goes on, and uses the code up as soon as it has it.
				machine.Log.Expect(t, "user="+p.Name+" ", "client="+clients[0].Name, "verdict=accepted")
			}
			if in := remoteLogin(t, clients[1], p, code); in == test.used {
				t.Errorf("the same code again: in %v, expected %v\n%s", in, !test.used, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
			// By a forked core, which asks nobody.
			if remoteLogin(t, clients[0], p, p.Code(t, 1)) {
				t.Error("in without a verifier")
			}
		})
	}
}
