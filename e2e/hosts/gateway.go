package hosts

import (
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
)

// Gateway is a stand-in for Twilio that is running.
type Gateway struct {
	*twiliotest.Gateway
	// URL is where it takes messages, over TLS; CA the file with its
	// certificate.
	URL, CA string
	// TokenFile has the account's password.
	TokenFile string
}

// StartGateway starts one.
func StartGateway(t machine.T) *Gateway {
	t.Helper()
	d := newDaemon(t, "gateway")
	g := &Gateway{Gateway: twiliotest.New(), CA: ownCertificate(t, d), TokenFile: d.keep(t, "token", twiliotest.Token+"\n")}
	g.URL = "https://" + d.address() + "/2010-04-01/Accounts/{otp_username}/Messages.json"
	machine.Keep(twiliotest.Token)
	if err := os.Chmod(g.TokenFile, 0o600); err != nil {
		t.Fatalf("token of the gateway: %v", err)
	}
	listener, err := net.Listen("tcp", d.address())
	if err != nil {
		t.Fatalf("start the gateway: %v", err)
	}
	server := &http.Server{Handler: g, ReadHeaderTimeout: machine.Patience}
	ended := make(chan struct{})
	go func() {
		_ = server.ServeTLS(listener, g.CA, d.dir+"/key.pem") // ends when it is closed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return g
}

// Settings are the table [sms] for the gateway, with more lines. Where they do not say
// how long a delivery may take, it is long enough for a busy machine.
func (g *Gateway) Settings(more string) string {
	if !strings.Contains(more, "timeout = ") {
		more += "timeout = '1m'\n"
	}
	return "[sms]\npreset = 'twilio'\nurl = '" + g.URL + "'\nusername = '" + twiliotest.SID + "'\npassword_file = '" + g.TokenFile +
		"'\nca_file = '" + g.CA + "'\nfrom = '+15005550006'\n" + more
}
