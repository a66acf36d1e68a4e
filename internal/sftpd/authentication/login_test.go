package authentication

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
	"github.com/otpgate/otpgate/internal/sftpd/sftpdtest"
)

func TestMain(m *testing.M) { sftpdtest.Main(m) }

// testLogin is a login under a policy whose front is the test.
func testLogin(t *testing.T, policy string) (*Login, *seqpacket.Conn) {
	t.Helper()
	path := sftpdtest.Config(t, policy)
	log := audit.Syslog{Path: path + "/nobody-listens"}
	engine, err := gate.Open(path, log)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := &Authenticator{Program: self, Log: log, Limited: log, Pause: func(time.Duration) {}, Now: time.Now}
	ours, front := seqpackettest.Pair(t)
	return a.Begin(netip.MustParseAddr("192.0.2.1"), engine, engine.Config.SFTP, ours), front
}

// serve does the steps that the front asks for until it hangs up.
func serve(l *Login) {
	defer l.front.Close()
	defer l.End()
	buffer := make([]byte, messages.MaxSize)
	for {
		message, err := l.front.ReceiveMessage(buffer)
		if err != nil {
			return
		}
		r := fields.NewReader(message)
		answer, _, err := l.Step(r.U8(), r, nil)
		if err != nil || l.front.Send(answer) != nil {
			return
		}
	}
}

// serveScript does the steps that a front asks for.
func serveScript(l *Login, front *seqpacket.Conn, sent ...*fields.Writer) {
	go sftpdtest.Send(front, sftpdtest.Script(sent...))
	serve(l)
}

// A login that has ended, and one of which nobody knows how far it is, lets
// nobody in by what is right.
func TestEndedLoginLetsNobodyIn(t *testing.T) {
	key := sftpdtest.PublicKey("ssh-rsa")
	keys, asked := keysCommandOf(t, authorizedLine(key))
	right := []*fields.Writer{
		fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text(sftpdtest.RightPassword),
		fields.Message(messages.AskOffer).Text(sftpdtest.Anybody).Blob(key),
		fields.Message(messages.AskProve).Text(sftpdtest.Anybody).Blob(key).Text("ssh-rsa").Blob(nil).Text("rsa-sha2-512"),
		fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody),
	}
	for name, change := range map[string]func(l *Login){
		"as it begins": func(*Login) {}, "ended": func(l *Login) { l.ended = true }, "no state": func(l *Login) { l.state = nil },
	} {
		l, front := testLogin(t, "[policy]\nprotocols = [\"ssh\"]\n"+keys+"unproven_keys = \"allow\"\n")
		change(l)
		serveScript(l, front, right...)
		if in := l.Entered() != nil; in != (name == "as it begins") || asked() != "" || !in && l.Failures() != len(right) {
			t.Errorf("%s: in %v, %d failures, the command was asked %q", name, in, l.Failures(), asked())
		}
	}
}
