package e2e

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// A client that has an algorithm of no kind in common leaves a line that says
// which, with both offers.
func TestSFTPNothingInCommonIsLogged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options []string
		want    []string
	}{
		"kex":    {[]string{"KexAlgorithms=diffie-hellman-group14-sha1"}, []string{"no common key exchange: the client (SSH-2.0-OpenSSH_", ") offers diffie-hellman-group14-sha1,", ", the server mlkem768x25519-sha256,curve25519-sha256,"}},
		"host":   {[]string{"HostKeyAlgorithms=ecdsa-sha2-nistp384"}, []string{"no common host key: ", ") offers ecdsa-sha2-nistp384, the server ssh-ed25519"}},
		"cipher": {[]string{"Ciphers=3des-cbc"}, []string{"no common cipher: ", ") offers 3des-cbc, the server aes128-gcm@openssh.com,"}},
		"mac":    {[]string{"Ciphers=aes128-ctr", "MACs=hmac-md5"}, []string{"no common MAC: ", ") offers hmac-md5, the server hmac-sha2-256-etm@openssh.com,"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSFTPD(t, "sftp-common-"+name, noCodes, "")
			p := machine.NewPerson(t, "sfz")
			expectOut(t, p, s.Login(t, p, answers(p), test.options), 0)
			texts := []string{"otpgate", "service=" + s.Service() + " ", "remote=" + p.Address + " ", "verdict=turned-away rule=key-exchange "}
			line := machine.Log.Expect(t, texts...)
			for _, text := range test.want {
				if !strings.Contains(line.Text, text) {
					t.Errorf("expected %q in %s", text, line.Text)
				}
			}
			if line.Facility != 10 || line.Severity != 5 {
				t.Errorf("facility %d severity %d", line.Facility, line.Severity)
			}
			expectIn(t, p, s.Login(t, p, answers(p), nil), 0)
		})
	}
}

// Whoever is refused by a limit leaves a line too, and a flood leaves one a
// second that counts.
func TestSFTPRefusedByALimitIsLogged(t *testing.T) {
	t.Parallel()
	for limit, table := range map[string]string{"startups_per_source": "limits.startups_per_source = 1\n", "max_startups": "limits.max_startups = 1\n"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			s := startSFTPD(t, "sftp-"+strings.ReplaceAll(limit, "_", "-"), noCodes, patient+table)
			p := machine.NewPerson(t, "sfz")
			began := time.Now()
			waits := idle(t, s, p)
			defer waits.Close()
			real := exec.Command("ssh", append(s.SSHOptions(p, "BatchMode=yes"), p.Name+"@127.0.0.1")...)
			if output, err := real.CombinedOutput(); err == nil || !strings.Contains(string(output), "onnection") {
				t.Errorf("expected that the connection is closed, found %v: %s", err, output)
			}
			for range 50 {
				(&sshClient{person: p, server: s}).dial(t)
			}
			texts := []string{"otpgate", "service=" + s.Service() + " ", "remote=" + p.Address + " ", "verdict=turned-away rule=sftp.limits." + limit + " "}
			// The first at once, and of those in between how many there were.
			machine.Log.Expect(t, append(texts, "one of ")...)
			lines := machine.Log.Lines(texts...)
			if most := 2 + int(time.Since(began)/time.Second); len(lines) > most {
				t.Errorf("%d lines in %v:\n%s", len(lines), time.Since(began), machine.Text(lines))
			}
			if !strings.Contains(lines[0].Text, "at their login") {
				t.Error(lines[0].Text)
			}
			must(t, waits.Close())
			machine.Until(t, "there is room again", func() bool { return s.Login(t, p, answers(p), nil).In(p) })
		})
	}
}

// idle is a connection that the server has let begin its login.
func idle(t *testing.T, s *hosts.SFTPD, p *machine.Person) net.Conn {
	t.Helper()
	var conn net.Conn
	// The connection that found the server listening may have a place for a moment.
	machine.Until(t, "the server says its name", func() bool {
		conn = (&sshClient{person: p, server: s}).dial(t)
		must(t, conn.SetDeadline(time.Now().Add(machine.Patience)))
		_, err := io.ReadFull(conn, make([]byte, len("SSH-2.0-")))
		if err != nil {
			conn.Close()
		}
		return err == nil
	})
	return conn
}

// A front that is taken over says it once for each connection, whatever it
// sends, and writes nothing into the log but one line a second.
func TestSFTPTakenOverFloodsNoLog(t *testing.T) {
	t.Parallel()
	s := startHostile(t, "sftp-taken-log", "", patient)
	p := machine.NewPerson(t, "sfz")
	began := time.Now()
	w := fields.Message(messages.TellUnmatched).U8(messages.ListMAC).Text("x\nuser=root verdict=accepted").Text("\x1b[2J" + strings.Repeat("x", 1000))
	for range 100 {
		if _, _, err := take(t, s, p).ask(w.Bytes); err == nil {
			t.Fatal("expected that the broker ends the connection")
		}
	}
	texts := []string{"otpgate", "service=" + s.Service() + " ", "remote=" + p.Address + " ", "rule=key-exchange "}
	line := machine.Log.Expect(t, append(texts, "one of ")...)
	if !strings.Contains(line.Text, "(x?user=root) offers ?[2Jxx") || len(line.Text) > 700 {
		t.Errorf("%d bytes: %s", len(line.Text), line.Text)
	}
	if lines, most := machine.Log.Lines(texts...), 2+int(time.Since(began)/time.Second); len(lines) > most {
		t.Errorf("%d lines in %v:\n%s", len(lines), time.Since(began), machine.Text(lines))
	}
}
