package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

const breakGlassPrompt = "Break-glass code"

// alone is a client whose only server is dead.
func alone(t *testing.T, name string) (server *machine.Server, client machine.Site) {
	t.Helper()
	server = machine.NewServer(t, name+"-s", "[totp]\nwindow = 3\n")
	client = machine.NewClient(t, name, machine.Client{}, server)
	server.Gateway.Kill()
	return server, client
}

// Without any server a break-glass code lets into the real sshd, once, by the verifier
// and by a forked core. Once a server answers, nobody is asked for one any more.
func TestBreakGlassSSH(t *testing.T) {
	t.Parallel()
	server, client := alone(t, "bg-ssh")
	p, other := machine.NewPerson(t, "glas").Enroll(t, server.Users), machine.NewPerson(t, "glas").Enroll(t, server.Users)
	codes := p.BreakGlass(t, client)
	var resident *hosts.SSHD
	for i, path := range machine.Paths {
		here := client.Over(path)
		here.Name = "bg-ssh-" + string(path)
		sshd := startSSHD(t, here)
		if path == machine.Resident {
			resident = sshd
		}
		expectIn(t, p, sshd.Login(t, p, answers(p, codes[i])), 1)
		machine.Log.Expect(t, "user="+p.Name+" service="+here.Name, "verdict=accepted", "rule=break-glass", "left; a break-glass code was asked for as")
		d := sshd.Login(t, p, answers(p, p.Code(t, 0), codes[i], codes[i]))
		expectOut(t, p, d, 3)
		if !strings.Contains(d.Transcript, "has been used on this machine") {
			t.Errorf("not told that it has been used:\n%s", d.Transcript)
		}
		expectOut(t, p, sshd.Login(t, p, machine.Answers{Passwords: []string{"not-" + p.Password}, Codes: codes}), 0)
		expectOut(t, other, sshd.Login(t, other, answers(other, codes[2])), 0)
		machine.Log.Expect(t, "user="+other.Name+" service="+here.Name, "verdict=fault", "rule=remote")
	}
	server.StartGateway(t)
	d := resident.Login(t, p, answers(p, codes[2], codes[2], codes[2]))
	expectOut(t, p, d, 3)
	if strings.Contains(d.Transcript, breakGlassPrompt) {
		t.Errorf("asked for a break-glass code while a server answers:\n%s", d.Transcript)
	}
	expectIn(t, p, resident.Login(t, p, answers(p, p.Code(t, 1))), 1)
	// It was not used up meanwhile.
	server.Gateway.Kill()
	expectIn(t, p, resident.Login(t, p, answers(p, codes[2])), 1)
	listed, err := exec.Command(machine.Files+"/otpctl", "--config", client.Config, "break-glass", "list", "--json").Output()
	if err != nil || !strings.Contains(string(listed), `"left": 5`) || !strings.Contains(string(listed), `"used": "`) {
		t.Errorf("after three logins otpctl says %s, %v", listed, err)
	}
}

// The same through sudo.
func TestBreakGlassSudo(t *testing.T) {
	t.Parallel()
	_, client := alone(t, "bg-sudo")
	p := machine.NewPerson(t, "glas")
	codes := p.BreakGlass(t, client)
	for i, path := range machine.Paths {
		here, service := client.Over(path), "bg-sudo-"+string(path)
		here.AddToService(t, "sudo", service, "protocol=sudo")
		rule := "Defaults:" + p.Name + " pam_service=" + service + "\n" + p.Name + " ALL=(ALL:ALL) ALL\n"
		if err := os.WriteFile("/etc/sudoers.d/"+p.Name, []byte(rule), 0o440); err != nil {
			t.Fatal(err)
		}
		expectIn(t, p, sudo(t, here, p, nil, answers(p, codes[i])), 1)
		expectOut(t, p, sudo(t, here, p, nil, answers(p, codes[i], codes[i], codes[i])), 3)
		machine.Log.Expect(t, "user="+p.Name+" service="+service, "verdict=accepted", "rule=break-glass")
	}
}

// The same through the SFTP server, which asks the client's verifier.
func TestBreakGlassSFTP(t *testing.T) {
	t.Parallel()
	_, client := alone(t, "bg-sftp")
	p := machine.NewPerson(t, "glas")
	codes := p.BreakGlass(t, client)
	s := hosts.StartSFTPD(t, client, "", patient)
	if v := (&sshClient{person: p, server: s, codes: codes[:1]}); !v.byPassword(t) || v.asked != 1 {
		t.Errorf("not in, asked %d times: %s", v.asked, v.told)
	}
	machine.Log.Expect(t, "user="+p.Name+" service="+s.Service(), "verdict=accepted", "rule=break-glass")
	if v := (&sshClient{person: p, server: s, codes: []string{codes[0], codes[0], codes[0]}}); v.byPassword(t) || v.asked == 0 {
		t.Errorf("in twice with one code, or asked %d times: %s", v.asked, v.told)
	}
	if v := (&sshClient{person: p, server: s}); !v.in(t, ssh.Password(p.Password+codes[1])) {
		t.Errorf("not in with a code behind the password: %s", v.told)
	}
}

// Fifty at once with one code: one is in, through one verifier and forked cores.
func TestBreakGlassOfFifty(t *testing.T) {
	t.Parallel()
	_, client := alone(t, "bg-fifty")
	p := machine.NewPerson(t, "glas")
	codes := p.BreakGlass(t, client)
	services := []string{"bg-fifty-forked", "bg-fifty-resident"}
	for i, path := range machine.Paths {
		client.Over(path).CodeOnly(t, services[i], "protocol=ssh")
	}
	for _, code := range codes[:2] {
		fiftyAtOnce(t, p, services, breakGlassPrompt, code, nil)
	}
}

// Whatever dies while a break-glass code is typed, the login is denied, and the code
// is good for another one. A server that is silent and then comes back has begun nothing.
func TestBreakGlassBrokenOff(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "bg-broken-s", "")
	client := machine.NewClient(t, "bg-broken", machine.Client{Timeout: "1s"}, server)
	client.CodeOnly(t, "bg-broken", "protocol=ssh")
	p := machine.NewPerson(t, "glas").Enroll(t, server.Users)
	codes := p.BreakGlass(t, client)
	server.Gateway.Signal(t, syscall.SIGSTOP)
	login := beginAt(t, client, p)
	login.Prompt(t, breakGlassPrompt)
	server.Gateway.Signal(t, syscall.SIGCONT)
	login.Answer(codes[0])
	if verdict := login.Verdict(t); verdict != hosts.PAMSuccess {
		t.Errorf("verdict %d", verdict)
	}
	if lines := machine.Log.Lines("user="+p.Name+" ", "client=bg-broken"); len(lines) > 0 {
		t.Errorf("the server has decided too:\n%s", machine.Text(lines))
	}
	server.Gateway.Kill()
	login = beginAt(t, client, p)
	login.Prompt(t, breakGlassPrompt)
	client.Verifier.Kill()
	login.Answer(codes[1])
	if verdict := login.Verdict(t); verdict == hosts.PAMSuccess {
		t.Error("in though the verifier was killed")
	}
	here := client.Over(machine.Forked)
	here.Name = "bg-broken-forked"
	here.CodeOnly(t, here.Name, "protocol=ssh")
	if !remoteLogin(t, here, p, codes[1]) {
		t.Error("not in by a forked core, with a code that nobody has used")
	}
}

// Behind the password of a server that cannot ask, and a file that others can read.
func TestBreakGlassFieldAndFile(t *testing.T) {
	t.Parallel()
	_, client := alone(t, "bg-field")
	p := machine.NewPerson(t, "glas")
	codes := p.BreakGlass(t, client)
	for i, path := range machine.Paths {
		here := client.Over(path)
		here.Name = "bg-field-" + string(path)
		here.AroundPassword(t, here.Name, ownPassword, "protocol=ftp")
		code := codes[i]
		if remoteLogin(t, here, p, "not-"+p.Password+code, "not-"+p.Password+code) {
			t.Error("in with a wrong password")
		}
		if !remoteLogin(t, here, p, p.Password+code) {
			t.Errorf("%s: not in with a code behind the password:\n%s", path, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
		if remoteLogin(t, here, p, p.Password+code, p.Password+code, p.Password+code, p.Password+code) {
			t.Errorf("%s: in twice with one code", path)
		}
	}
	if err := os.Chmod(p.BreakGlassFile(client), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range machine.Paths {
		here := client.Over(path)
		here.Name = "bg-file-" + string(path)
		here.CodeOnly(t, here.Name, "protocol=ssh")
		if remoteLogin(t, here, p, codes[2]) {
			t.Errorf("%s: in by a file that others can read", path)
		}
		machine.Log.Expect(t, "user="+p.Name+" service="+here.Name, "verdict=fault", "rule=break-glass", p.BreakGlassFile(client), "mode 0644, expected at most 0600")
	}
}
