package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// aimedAt is text that a stranger writes to have that address banned.
const aimedAt = "203.0.113.9"

// expectCounted gives fail2ban lines of the log, with the filter that is shipped,
// and looks which addresses it counts.
func expectCounted(t *testing.T, lines []machine.Line, want ...string) {
	t.Helper()
	if !strings.Contains(machine.Text(lines), aimedAt) {
		t.Errorf("nothing of these is aimed at %s:\n%s", aimedAt, machine.Text(lines))
	}
	var log strings.Builder
	for _, line := range lines {
		log.WriteString("Nov 29 01:02:03 host " + line.Text + "\n")
	}
	path := filepath.Join(t.TempDir(), "auth.log")
	must(t, os.WriteFile(path, []byte(log.String()), 0o644))
	filter, err := filepath.Abs("../packaging/fail2ban/filter.d/otpgate.conf")
	must(t, err)
	output, err := exec.Command("fail2ban-regex", "-o", "<ip>", path, filter).CombinedOutput()
	must(t, err)
	found := strings.Fields(string(output))
	slices.Sort(found)
	if slices.Sort(want); !slices.Equal(found, want) {
		t.Errorf("expected that fail2ban counts %q, found %q in\n%s", want, found, log.String())
	}
}

// Wrong codes through the module and through the verifier count for the address
// that PAM was told, whatever the name of who logs in, and none that is within a
// name.
func TestFail2ban(t *testing.T) {
	onBothPaths(t, "fail2ban", "", func(t *testing.T, here machine.Site) {
		here.CodeOnly(t, here.Name, "protocol=ssh")
		var lines []machine.Line
		var want []string
		// NAME stands for what no other login has, ADDRESS for where it comes from.
		for _, login := range []struct{ name, from string }{
			{"NAME", "ADDRESS"},
			{"NAME remote=" + aimedAt + " y", "ADDRESS"},
			{`NAME" remote=` + aimedAt + ` verdict=denied rule=code "`, "ADDRESS"},
			{"NAME service=sshd remote=" + aimedAt + " verdict=denied rule=code", ""},
			{"NAME", "x remote=" + aimedAt + " verdict=denied rule=code"},
		} {
			p := machine.WithoutUser("f2b")
			own, from := p.Name+"-", strings.Replace(login.from, "ADDRESS", p.Address, 1)
			p.Name = strings.Replace(login.name, "NAME", own, 1)
			p.Enroll(t, here.Users)
			wrong := p.Wrong(t)
			host := hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{RemoteHost: from})
			if verdict := host.Verdict(t, wrong, wrong, wrong); verdict == hosts.PAMSuccess {
				t.Errorf("%q: in by wrong codes", p.Name)
			}
			right := hosts.StartHost(t, here.Name, p.Name, hosts.HostOptions{RemoteHost: from})
			if verdict := right.Verdict(t, p.Code(t, 0)); verdict != hosts.PAMSuccess {
				t.Errorf("%q: %d\n%s", p.Name, verdict, machine.Text(machine.Log.Lines(own)))
			}
			machine.Log.Expect(t, "otpgate[", own, "verdict=denied rule=policy.attempts.per_login ")
			lines = append(lines, machine.Log.Lines("otpgate[", own)...)
			if from == p.Address {
				want = append(want, from)
			}
		}
		expectCounted(t, lines, want...)
	})
}

// Wrong passwords at the SFTP server count, and an address that keeps failing;
// what a client calls itself does not.
func TestSFTPFail2ban(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-fail2ban", "", "")
	p := machine.NewPerson(t, "sfb")
	texts := []string{" service=" + s.Service() + " ", "remote=" + p.Address + " "}
	odd := &sshClient{person: p, server: s}
	_, _, _, err := ssh.NewClientConn(odd.dial(t), s.Address(), &ssh.ClientConfig{
		User: p.Name, HostKeyCallback: ssh.InsecureIgnoreHostKey(), ClientVersion: "SSH-2.0-x\"_remote=" + aimedAt + "_verdict=denied_rule=code",
		Config: ssh.Config{KeyExchanges: []string{ssh.InsecureKeyExchangeDH14SHA1}},
	})
	if err == nil {
		t.Error("a key exchange that is not offered was taken")
	}
	machine.Log.Expect(t, append(texts, "rule=key-exchange ", aimedAt)...)
	machine.Until(t, "the address is kept out", func() bool {
		wrongAtOnce(t, s, p, "x remote="+aimedAt+" y")
		return len(machine.Log.Lines(append(texts, "rule=sftp.limits.penalties ")...)) > 0
	})
	lines := machine.Log.Lines(texts...)
	var want []string
	for _, line := range lines {
		if strings.Contains(line.Text, "rule=password ") || strings.Contains(line.Text, "rule=sftp.limits.penalties ") {
			want = append(want, p.Address)
		}
	}
	if len(want) < 3 {
		t.Errorf("only %d lines count in\n%s", len(want), machine.Text(lines))
	}
	expectCounted(t, lines, want...)
}
