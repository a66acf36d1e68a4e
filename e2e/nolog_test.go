package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// logs is a directory for /var/log with what the log of a container is written to.
func logs(t *testing.T) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	file = filepath.Join(dir, "otpgate.log")
	must(t, os.WriteFile(file, nil, 0o600))
	return dir, file
}

// expectLine waits for a line that has all of the texts.
func expectLine(t *testing.T, where func() string, texts ...string) {
	t.Helper()
	machine.Until(t, "a line has "+strings.Join(texts, " "), func() bool {
		for line := range strings.Lines(where()) {
			has := true
			for _, text := range texts {
				has = has && strings.Contains(line, text)
			}
			if has && strings.HasSuffix(line, "\n") {
				return true
			}
		}
		return false
	})
}

// In a container nobody listens at /dev/log. Each decision is a line of the file
// that the admin has made, the denial of everybody for a mistake in the
// configuration too, and otpctl doctor says so where there is no such file.
func TestSSHWithoutLog(t *testing.T) {
	onBothPaths(t, "nolog", "", func(t *testing.T, here machine.Site) {
		t.Parallel()
		dir, file := logs(t)
		in := func() string {
			text, err := os.ReadFile(file)
			must(t, err)
			return string(text)
		}
		if here.Path == machine.Resident {
			// In place of the one that has a log.
			here.Socket = strings.Replace(here.Socket, "verifier.sock", "nolog.sock", 1)
			here.Configure(t, "")
			here.Logs = dir
			here.Verifier = machine.StartVerifier(t, here, machine.VerifierOptions{})
		}
		here.AddToService(t, "sshd", here.Name, "protocol=ssh")
		sshd := hosts.StartSSHDWithoutLog(t, dir, here.Name, hosts.WithCode...)
		p := machine.NewPerson(t, "nolog").Enroll(t, here.Users)
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0))), 1)
		expectLine(t, in, " otpgate[", "user="+p.Name+" ", "remote="+p.Address+" ", "verdict=accepted", "rule=totp:phone")
		must(t, os.WriteFile(here.Config, []byte("[policy]\nrequired = []\n"), 0o644))
		expectOut(t, p, sshd.Login(t, p, answers(p)), 0)
		expectLine(t, in, "user="+p.Name+" ", "rule=configuration", here.Config+":2", "required")
		if lines := machine.Log.Lines("user=" + p.Name + " "); len(lines) > 0 {
			t.Errorf("the log of the machine around it has\n%s", machine.Text(lines))
		}
		here.Configure(t, "")
		doctor := func(want int) string {
			cmd := exec.Command(machine.Files+"/otpctl", "--config="+here.Config, "doctor", "--service="+here.Name, "--ignore=clock-unsynchronised", "--ignore=state-volatile")
			machine.WithoutLog(cmd, dir)
			return inSession(t, want, cmd)
		}
		if said := doctor(0); strings.Contains(said, "/dev/log") {
			t.Errorf("with the file the doctor says\n%s", said)
		}
		must(t, os.Remove(file))
		if said := doctor(3); !strings.Contains(said, "log-nowhere") {
			t.Errorf("without the file the doctor says\n%s", said)
		}
		expectOut(t, p, sshd.Login(t, p, answers(p, p.Wrong(t), p.Wrong(t), p.Wrong(t))), 3)
		if here.Path == machine.Resident {
			expectLine(t, here.Verifier.Output, "user="+p.Name+" ", "verdict=denied", "rule=policy.attempts.per_login")
		}
		if _, err := os.Lstat(file); err == nil {
			t.Errorf("a login has made %s", file)
		}
	})
}

// A server in the foreground of a container says on its standard error who logged
// in and what was done.
func TestSFTPWithoutLog(t *testing.T) {
	t.Parallel()
	here := machine.NewSite(t, "sftp-nolog", "")
	here.Logs = t.TempDir()
	s := hosts.StartSFTPD(t, here, "", "")
	p := machine.NewPerson(t, "sfn").Enroll(t, here.Users)
	expectIn(t, p, s.Login(t, p, answers(p, p.Code(t, 0)), nil, "pwd", "put /etc/hostname here"), 1)
	expectLine(t, s.Output, " otpgate[", "user="+p.Name+" ", "verdict=accepted", "rule=totp:phone")
	expectLine(t, s.Output, " otpgate[", "user="+p.Name+" ", "op=transfer", "path=/home/"+p.Name+"/here", "result=ok")
}
