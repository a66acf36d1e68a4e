package hosts

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"

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

// StartGateway starts one at Outside.
func StartGateway(t machine.T) *Gateway {
	t.Helper()
	return startGatewayAt(t, outside(t))
}

// StartGatewayOnLoopback starts one for the network that the test is in.
func StartGatewayOnLoopback(t machine.T) *Gateway {
	t.Helper()
	return startGatewayAt(t, "127.0.0.1")
}

func startGatewayAt(t machine.T, host string) *Gateway {
	t.Helper()
	d := newDaemon(t, "gateway")
	g := &Gateway{Gateway: twiliotest.New(), CA: ownCertificate(t, d), TokenFile: d.keep(t, "token", twiliotest.Token+"\n")}
	address := net.JoinHostPort(host, d.port)
	g.URL = "https://" + address + "/2010-04-01/Accounts/{otp_username}/Messages.json"
	machine.Keep(twiliotest.Token)
	if err := os.Chmod(g.TokenFile, 0o600); err != nil {
		t.Fatalf("token of the gateway: %v", err)
	}
	listener, err := net.Listen("tcp", address)
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

// Outside is the address at which the servers of a fleet reach what runs in the machine of
// the tests beside them: the mail server, the gateway for text messages.
const Outside = "10.255.255.1"

var addOutside = sync.OnceValue(func() error {
	if output, err := exec.Command("ip", "address", "add", Outside+"/32", "dev", "lo").CombinedOutput(); err != nil {
		return fmt.Errorf("add the address %s: %w: %s", Outside, err, output)
	}
	return nil
})

// outside is Outside, once it is there. No test may call it in a network namespace, which
// would get the address.
func outside(t machine.T) string {
	t.Helper()
	if err := addOutside(); err != nil {
		t.Fatalf("%v", err)
	}
	return Outside
}
