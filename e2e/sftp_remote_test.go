package e2e

import (
	"encoding/base32"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/factor"
)

// byPassword is a client that is asked for the password, and then for a code.
func (v *sshClient) byPassword(t *testing.T) bool {
	t.Helper()
	return v.in(t, ssh.KeyboardInteractive(v.challenge))
}

// Without a server, and without a verifier, those who are never asked are in at once,
// and all others are denied. Once one answers, all is as ever.
func TestSFTPOnClientAlone(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "rs-none-s", "")
	p, robot := machine.NewPerson(t, "sfv").Enroll(t, server.Users), machine.NewPerson(t, "sfv").Enroll(t, server.Users)
	policy := "[policy]\nexempt = [\"" + robot.Name + "\"]\n"
	client := machine.NewClient(t, "rs-none", machine.Client{Policy: policy}, server)
	s := hosts.StartSFTPD(t, client, policy, patient)
	server.Gateway.Kill()
	expect := func(without string, why string) {
		t.Helper()
		if v := (&sshClient{person: robot, server: s}); !v.byPassword(t) {
			t.Errorf("without a %s who is never asked is not in: %s", without, v.told)
		}
		v := &sshClient{person: p, server: s, codes: []string{p.Code(t, 0)}}
		if v.byPassword(t) || v.asked > 0 {
			t.Errorf("without a %s: in, or asked: %s", without, v.told)
		}
		signer, _ := newKeyAgain(t, p)
		if v.in(t, ssh.PublicKeys(signer), ssh.KeyboardInteractive(v.challenge)) || v.asked > 0 {
			t.Errorf("without a %s: in by a key, or asked: %s", without, v.told)
		}
		machine.Log.Expect(t, "user="+p.Name+" service="+s.Service(), "protocol=sftp", "remote="+p.Address, "verdict=fault", "rule=remote", why)
	}
	expect("server", server.Address+": connect: connection refused")
	client.Verifier.Kill()
	expect("verifier", "otpgate-verifierd decides this login")
	machine.StartVerifier(t, client, machine.VerifierOptions{})
	server.StartGateway(t)
	if v := (&sshClient{person: p, server: s, codes: []string{p.Code(t, 0)}}); !v.byPassword(t) {
		t.Errorf("not in with both again: %s", v.told)
	}
}

// Whoever dies while a code is typed, that login is denied; one message goes out, and
// the next login is decided, by the other server if need be.
func TestSFTPOnClientKilled(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(t *testing.T, server *machine.Server, client *machine.Site){
		"gateway": func(_ *testing.T, server *machine.Server, _ *machine.Site) { server.Gateway.Kill() },
		"server":  func(_ *testing.T, server *machine.Server, _ *machine.Site) { server.Verifier.Kill() },
		"client":  func(_ *testing.T, _ *machine.Server, client *machine.Site) { client.Verifier.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newBrokenFleet(t, loss{name: "sftp " + name})
			client := &f.clients[0]
			p := addressed(t, machine.NewPerson(t, "sfv"), f.servers[0].Site, "sms", "totp")
			s := hosts.StartSFTPD(t, *client, "", patient)
			v := &sshClient{person: p, server: s}
			v.typing = func() {
				by := f.asked(t, sent{})
				v.codes = []string{f.code(t, by, sent{})}
				kill(t, f.servers[by], client)
			}
			if v.byPassword(t) || v.asked != 1 {
				t.Errorf("in, or asked %d times: %s", v.asked, v.told)
			}
			machine.Log.Expect(t, "user="+p.Name+" service="+s.Service(), "verdict=fault", "rule=remote")
			before := f.sent()
			if n := before[0].asked + before[1].asked; n != 1 {
				t.Errorf("%d messages were asked for, expected one", n)
			}
			if name == "client" {
				client.Verifier = machine.StartVerifier(t, *client, machine.VerifierOptions{})
			}
			next := &sshClient{person: p, server: s}
			next.typing = func() { next.codes = []string{f.code(t, f.asked(t, before), before)} }
			after := func() int { all := f.sent(); return all[0].asked + all[1].asked }
			if !next.byPassword(t) || after() != 2 {
				t.Errorf("the next login: %s, %d messages\n%s", next.told, after(), machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
		})
	}
}

// Both machines name a login alike, the broker counts what another has decided, and
// the client's file says whether it may ask for SFTP at all.
func TestSFTPOnClientInTheLog(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "rs-log-s", "")
	p := machine.NewPerson(t, "sfv").Enroll(t, server.Users)
	client := machine.NewClient(t, "rs-log", machine.Client{May: []string{"--services=sftpd-rs-log"}}, server)
	socket := "/run/rs-log-metrics.sock"
	s := hosts.StartSFTPD(t, client, "", patient+"metrics = \"unix:"+socket+"\"\n")
	if v := (&sshClient{person: p, server: s, codes: []string{p.Code(t, 0)}}); !v.byPassword(t) {
		t.Fatalf("not in: %s", v.told)
	}
	here := machine.Log.Expect(t, "user="+p.Name+" service="+s.Service(), "protocol=sftp", "verdict=accepted", "rule=totp:phone", "server="+server.Address)
	id := regexp.MustCompile(`id=[0-9a-f]{16}`).FindString(here.Text)
	machine.Log.Expect(t, "user="+p.Name+" ", "client=rs-log", "protocol=sftp", "verdict=accepted", "rule=totp:phone", "remote="+p.Address, id)
	web := http.Client{Transport: &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	response, err := web.Get("http://x/metrics")
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	if line := "otpgate_sftp_verdicts_total{verdict=\"accepted\",rule=\"totp\"} 1\n"; !strings.Contains(string(text), line) {
		t.Errorf("the figures do not have %s:\n%s", line, text)
	}
	other := machine.NewClient(t, "rs-log-other", machine.Client{May: []string{"--services=sshd"}}, server)
	v := &sshClient{person: p, server: hosts.StartSFTPD(t, other, "", patient), codes: []string{p.Code(t, 1)}}
	if v.byPassword(t) || !strings.Contains(v.told, "may not ask for your verification code") {
		t.Errorf("in, or not told why: %s", v.told)
	}
	machine.Log.Expect(t, "user="+p.Name+" ", "client=rs-log-other", "verdict=denied", "rule=client.services")
}

// No process of the server has a secret or a hash of a recovery code in its memory,
// while somebody is in.
func TestSFTPOnClientHoldsNoSecret(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "rs-secret-s", "")
	p := machine.NewPerson(t, "sfv")
	codes, recovery := factor.NewRecovery(p.Name)
	machine.Keep(codes...)
	p.Write(t, server.Users, p.SecretFile()+"\n[recovery]\nhashes = [\""+strings.Join(recovery.Hashes, `", "`)+"\"]\n")
	s := hosts.StartSFTPD(t, machine.NewClient(t, "rs-secret", machine.Client{}, server), "", patient+"fronts = 1\n")
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(p.Secret)
	must(t, err)
	secrets := [][]byte{[]byte(p.Secret), raw, []byte(recovery.Hashes[0]), []byte(recovery.Hashes[1])}
	for _, code := range []string{p.Code(t, 0), codes[0]} {
		v := &sshClient{person: p, server: s, codes: []string{code}}
		client, err := v.connect(t, ssh.KeyboardInteractive(v.challenge))
		must(t, err)
		files, err := sftp.NewClient(client)
		_, homeErr := files.Getwd()
		must(t, errors.Join(err, homeErr))
		pids := []int{s.PID()}
		for _, program := range []string{"otpgate-sftpd-front", "otpgate-sftpd-login", "otpgate-sftpd-worker"} {
			pids = append(pids, oneChild(t, s, program, anybody))
		}
		for _, pid := range pids {
			if inMemory(t, pid, secrets) {
				t.Errorf("a secret is in the memory of process %d of %v", pid, pids)
			}
		}
		must(t, client.Close())
		machine.Until(t, "the session has ended", func() bool { return len(children(t, s, "otpgate-sftpd-worker", anybody)) == 0 })
	}
	// This process has them, so that a search that can find nothing is noticed.
	if !inMemory(t, os.Getpid(), secrets) {
		t.Error("the search does not find them here either")
	}
}
