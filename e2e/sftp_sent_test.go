package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
)

// showSFTP gives the password to OpenSSH's sftp on a screen, and waits for the
// prompt for a code.
func showSFTP(t *testing.T, s *hosts.SFTPD, p *machine.Person) *machine.Screen {
	t.Helper()
	screen := machine.Show(t, 100, 40, s.Batch(t, p, nil, "put /etc/hostname arrived"))
	screen.Await("assword:")
	screen.Type(p.Password)
	screen.Await("Verification code:")
	return screen
}

// expectArrived waits until the person is in and the file is there.
func expectArrived(t *testing.T, screen *machine.Screen, p *machine.Person) {
	t.Helper()
	screen.Await(p.Name + " is in")
	path := "/home/" + p.Name + "/arrived"
	machine.Until(t, "the file has arrived", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	must(t, os.Remove(path))
}

// A code by email comes with the prompt, another one when it is asked for, and
// each is good for its login alone.
func TestSFTPSentCodes(t *testing.T) {
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	onSFTPPaths(t, "sftp-sent", "[totp]\nwindow = 3\n"+emailTable(t, server), patient, sentCodes)
}

func sentCodes(t *testing.T, s *hosts.SFTPD) {
	p := addressed(t, machine.NewPerson(t, "sen"), s.Site, "email", "totp")
	masked := "A code was sent to " + deliver.MaskEmail(p.Mail())
	screen := showSFTP(t, s, p)
	screen.Await(masked)
	first := mailedCode(t, p, 1)
	screen.Type(first)
	expectArrived(t, screen, p)
	expectAudit(t, p, "protocol=sftp", "verdict=accepted", "rule=email:my-email")

	screen = showSFTP(t, s, p)
	mailedCode(t, p, 2)
	screen.Type(first)
	screen.AwaitTimes("Verification code:", 2)
	screen.Type("email")
	screen.AwaitTimes("Verification code:", 3)
	screen.AwaitTimes(masked, 2)
	screen.Type(mailedCode(t, p, 3))
	expectArrived(t, screen, p)

	// Who has an app besides may give its code.
	screen = showSFTP(t, s, p)
	screen.Type(p.Code(t, 0))
	expectArrived(t, screen, p)
	expectAudit(t, p, "verdict=accepted", "rule=totp:my-totp")
	expectOut(t, p, s.Login(t, p, answers(p, first, p.Wrong(t), first), nil), 3)
}

// A gateway that fails is no obstacle while email works; with both down nobody
// is in, and nobody is asked for a code that cannot come.
func TestSFTPSentFallback(t *testing.T) {
	t.Parallel()
	for where, site := range sftpPaths("sftp-fallback", "") {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			server, gateway := hosts.StartExim(t, hosts.EximOptions{Auth: true}), hosts.StartGateway(t)
			sentFallback(t, hosts.StartSFTPD(t, site(t), emailTable(t, server)+gateway.Settings(""), patient), server, gateway)
		})
	}
}

func sentFallback(t *testing.T, s *hosts.SFTPD, server *hosts.Exim, gateway *hosts.Gateway) {
	p := addressed(t, machine.NewPerson(t, "sen"), s.Site, "sms")
	screen := showSFTP(t, s, p)
	screen.Type(texted(t, gateway, 1))
	expectArrived(t, screen, p)
	gateway.Next(twiliotest.InvalidTo)
	screen = showSFTP(t, s, p)
	screen.Await(deliver.MaskEmail(p.Mail()))
	screen.Type(mailedCode(t, p, 1))
	expectArrived(t, screen, p)
	expectAudit(t, p, "verdict=accepted", "rule=sms:my-sms", "sent by email to", "21211")

	s.Site.EditDeciding(t, func(text string) string { return strings.Replace(text, server.SMTP, "smtp://127.0.0.1:1", 1) })
	gateway.Next(twiliotest.InvalidTo)
	expectOut(t, p, s.Login(t, p, answers(p, p.Wrong(t)), nil), 0)
	expectAudit(t, p, "verdict=fault", "rule=sms:my-sms", "21211", "connection refused")
}

// Somebody who must give a code and has none sets it up while sftp logs in.
func TestSFTPEnrollAtLogin(t *testing.T) {
	onSFTPPaths(t, "sftp-enroll", mustEnroll, patient, enrollAtSFTP)
}

func enrollAtSFTP(t *testing.T, s *hosts.SFTPD) {
	p := machine.NewPerson(t, "enr")
	screen := setUp(t, s.Batch(t, p, nil, "put /etc/hostname arrived"), p)
	first, recovery := finish(t, screen, p)
	expectArrived(t, screen, p)
	expectAudit(t, p, "protocol=sftp", "verdict=enrolled", "rule=totp:phone")
	// The first code is spent; the next one and a recovery code are good.
	expectOut(t, p, s.Login(t, p, answers(p, first, first, first), nil), 3)
	expectIn(t, p, s.Login(t, p, answers(p, p.Code(t, 1)), nil), 1)
	expectIn(t, p, s.Login(t, p, answers(p, recovery[0]), nil), 1)

	// Who turns back has enrolled nothing and is not in.
	back := machine.NewPerson(t, "enr")
	screen = setUp(t, s.Batch(t, back, nil), back)
	for asked := range 3 {
		screen.AwaitTimes("Verification code:", asked+1)
		screen.Type("12")
	}
	expectAudit(t, back, "verdict=denied", "rule=policy.unenrolled")
	if _, err := os.Stat(s.Site.Users + "/" + back.Name + ".toml"); !os.IsNotExist(err) || strings.Contains(screen.Text(), "is in") {
		t.Errorf("expected no secret file and nobody in, found %v:\n%s", err, screen.Text())
	}
}
