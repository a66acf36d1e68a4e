package transport

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
)

var message = deliver.Message{
	Channel: deliver.SMS, User: "alice", Service: "sshd", Remote: "192.0.2.1", Host: "web1",
	Email: "alice@example.com", Phone: "+491511234567", Code: "471147", Expires: time.Unix(1795341600, 0),
}

// file writes text for its owner alone and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// patience is for what should come at once. It is long because the processors may be
// busy.
const patience = 2 * time.Minute

// newSender makes the sender of a configuration that is read as a file would
// be, and is patient unless that says for how long. Pauses take no time; they are
// counted.
func newSender(t *testing.T, text string) (*sender, *[]time.Duration) {
	t.Helper()
	settings, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	made, err := New(settings)
	if err != nil {
		t.Fatal(err)
	}
	s := made.(*sender)
	const usual = 10 * time.Second
	if s.email != nil && s.email.Timeout.Duration == usual {
		s.email.Timeout.Duration = patience
	}
	if s.sms != nil && s.sms.Timeout.Duration == usual {
		s.sms.Timeout.Duration = patience
	}
	var pauses []time.Duration
	s.pause = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
	return s, &pauses
}

// serve starts a server; secured is one with a certificate of its own
// authority, which is in the file ca.
func serve(t *testing.T, handler http.Handler) (plain, secured, ca string) {
	t.Helper()
	open := httptest.NewServer(handler)
	t.Cleanup(open.Close)
	closed := httptest.NewUnstartedServer(handler)
	closed.TLS = &tls.Config{}
	closed.Config.ErrorLog = quiet
	closed.StartTLS()
	t.Cleanup(closed.Close)
	return open.URL, closed.URL, authority(t, closed)
}

// authority writes the server's certificate as one to trust.
func authority(t *testing.T, server *httptest.Server) string {
	t.Helper()
	return file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
}

// twilio configures the preset with a gateway at base.
func twilio(t *testing.T, base, more string) string {
	return "[sms]\npreset = 'twilio'\nurl = '" + base + "/2010-04-01/Accounts/{otp_username}/Messages.json'\nusername = '" + twiliotest.SID +
		"'\npassword_file = '" + file(t, twiliotest.Token+"\n") + "'\nfrom = '+15005550006'\n" + more
}

// clean fails t if an error, or what failed, has what nobody may read.
func clean(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{message.Code, message.Phone, strings.TrimPrefix(message.Phone, "+"), message.Email, twiliotest.Token} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows %s", text, secret)
		}
	}
	if deliver.Clean(text, 10000) != text {
		t.Errorf("%q is not one clean line", text)
	}
}
