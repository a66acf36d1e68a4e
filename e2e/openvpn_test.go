package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// OpenVPN's client has one field unless the static challenge gives it another one.
func TestFieldOpenVPN(t *testing.T) {
	onBothPaths(t, "openvpn-field", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
		server := hosts.StartOpenVPN(t, here.Name, "")
		fieldTest{here, here.Name, "login", ""}.run(t, server.Field(t))
	})
}

// pairs are what docs/recipes.md has OpenVPN's plugin give to which of PAM's prompts.
func pairs(t *testing.T) string {
	t.Helper()
	document, err := os.ReadFile("../docs/recipes.md")
	must(t, err)
	found := regexp.MustCompile(`\nplugin openvpn-plugin-auth-pam.so "openvpn (.*)"\n`).FindSubmatch(document)
	if found == nil {
		t.Fatal("docs/recipes.md has no line for OpenVPN's plugin")
	}
	return string(found[1])
}

// With a static challenge the client asks for the code by itself, and the plugin
// gives it to the prompt. It gives it again to each prompt behind a wrong code.
func TestStaticChallengeOpenVPN(t *testing.T) {
	onBothPaths(t, "openvpn-challenge", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		here.AddToService(t, "other", here.Name, "protocol=login")
		server := hosts.StartOpenVPN(t, `"`+here.Name+" "+pairs(t)+`"`, "")
		p := machine.NewPerson(t, "ovp").Enroll(t, here.Users)
		code, wrong := p.Code(t, 0), p.Wrong(t)
		for _, try := range []struct {
			password, code string
			want           bool
			audit          []string
		}{
			{p.Password, wrong, false, []string{"verdict=denied", "rule=policy.attempts.per_login", "codes: 3 wrong"}},
			{"not-" + p.Password, code, false, nil},
			{p.Password, "", false, []string{"verdict=denied"}},
			{p.Password, code, true, []string{"verdict=accepted", "rule=totp:phone", "remote=" + p.Address}},
			{p.Password, code, false, []string{"verdict=denied", "3 used before"}},
		} {
			shown := challenge(t, server.Client(t, p, "", "--static-challenge", "Verification code", "1"), p.Name, try.password, try.code)
			if in := strings.Contains(shown, p.Name+" is in"); in != try.want {
				t.Errorf("expected in: %v, found\n%s\n%s", try.want, shown, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
			if try.audit != nil {
				expectAudit(t, p, append(try.audit, "service="+here.Name, "protocol=login")...)
			}
		}
		otpctl(t, 0, "--config="+here.Config, "doctor", "--service="+here.Name, "--ignore=clock-unsynchronised", "--ignore=state-volatile")
	})
}

// challenge answers OpenVPN's questions on its terminal, and returns what that shows.
func challenge(t *testing.T, client *exec.Cmd, name, password, code string) string {
	t.Helper()
	terminal := machine.Open(t, client)
	offset := 0
	for _, question := range [][2]string{{"Auth Username:", name}, {"Auth Password:", password}, {"CHALLENGE: Verification code", code}} {
		if asked, err := terminal.Await(offset, regexp.MustCompile(question[0]), machine.Patience); err != nil || asked == nil {
			t.Fatalf("expected %q, found %v\n%s", question[0], err, terminal.Output(0))
		}
		offset = len(terminal.Output(0))
		machine.Until(t, "OpenVPN waits for an answer", terminal.Waits)
		must(t, terminal.Send(question[1]+"\r"))
	}
	terminal.Status()
	return terminal.Output(0)
}

// byPing has the server negotiate anew once a few of its pings have gone through the tunnel,
// and not again until PAM has decided. By a clock of seconds the client would begin another
// negotiation while PAM is asked, which ends the connection.
const byPing = "ping 1\nreneg-bytes 100\n"

// Each hour OpenVPN's client logs in again with what was typed, by which it is
// thrown out, as the code is used; a token of the server's own keeps it in.
func TestRenegotiationOpenVPN(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "openvpn-again", "")
	here.AroundPassword(t, here.Name, debianPassword, "protocol=login")
	for name, test := range map[string]struct {
		lines string
		kept  bool
	}{"by itself": {"", false}, "token": {"auth-gen-token\n", true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := hosts.StartOpenVPN(t, here.Name, byPing+test.lines)
			p := machine.NewPerson(t, "ren").Enroll(t, here.Users)
			client := machine.Open(t, server.Staying(t, p, p.Password+p.Code(t, 0)))
			if test.kept {
				machine.Until(t, "the token is taken for "+p.Name, func() bool {
					return strings.Contains(server.Output(), "auth-token authentication succeeded for username '"+p.Name+"'")
				})
			} else if client.Status(); !strings.Contains(client.Output(0), "AUTH_FAILED") {
				t.Errorf("expected a refusal, found\n%s", client.Output(0))
			}
			expectAudit(t, p, "verdict=accepted", "rule=totp:phone")
			if denied := machine.Log.Lines("user="+p.Name+" ", "verdict=denied"); len(denied) > 0 == test.kept {
				t.Errorf("expected that the login is kept: %v, found\n%s", test.kept, machine.Text(denied))
			}
		})
	}
}
