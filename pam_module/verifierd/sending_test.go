package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/wire"
)

// enrollPhone gives name a factor of kind sms and nothing else.
func (p *installation) enrollPhone(tb testing.TB, name string) {
	tb.Helper()
	text := fmt.Sprintf("version = 1\nuser = %q\nphone = \"+491511234567\"\n[[factor]]\nid = \"mobile\"\nkind = \"sms\"\nconfirmed = 2026-01-01T00:00:00Z\n", name)
	if err := os.WriteFile(filepath.Join(p.users, name+".toml"), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// heldGateway sends nothing until it is told to.
type heldGateway struct {
	text   string // of a configuration
	asked  chan string
	answer chan struct{}
}

func newHeldGateway(tb testing.TB, waiting int) *heldGateway {
	tb.Helper()
	g := &heldGateway{asked: make(chan string, 2*waiting), answer: make(chan struct{})}
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.asked <- r.URL.Query().Get("text")
		<-g.answer
	}))
	tb.Cleanup(gateway.Close)
	g.text = wide + fmt.Sprintf("[sent]\nper_hour = 1000\n[sms]\nurl = %q\nmethod = \"GET\"\ntimeout = \"2m\"\n", gateway.URL+"/?to={otp_to}&text={otp_token}")
	return g
}

// enrollWaiting has so many people be sent their codes.
func (p *installation) enrollWaiting(tb testing.TB, waiting int) {
	tb.Helper()
	for i := range waiting {
		p.enrollPhone(tb, fmt.Sprintf("waits%d", i))
	}
}

// A hundred logins that wait for a gateway hold up nobody else, and get in once it
// has answered. BenchmarkSlowGateway measures what they cost.
func TestSlowGateway(t *testing.T) {
	const logins, waiting = 100, 100
	gateway := newHeldGateway(t, waiting)
	p := newInstallation(t, memoryDisk, gateway.text)
	p.enrollWaiting(t, waiting)
	next := p.crowdOf(t, logins)
	p.run(t)
	gateway.beside(t, p, waiting, func() {
		for range logins {
			name, code := next()
			p.once(t, name, code)
		}
	})
}

// beside does something while so many logins wait for the gateway; then it
// answers, and they are asked for the code.
func (g *heldGateway) beside(tb testing.TB, p *installation, waiting int, do func()) {
	tb.Helper()
	fronts := make([]front, waiting)
	for i := range fronts {
		fronts[i] = dial(tb, p.socket)
		if err := wire.WriteStart(fronts[i], p.start(fmt.Sprintf("waits%d", i))); err != nil {
			tb.Fatal(err)
		}
	}
	codes := map[string]bool{}
	for range fronts {
		codes[<-g.asked] = true
	}
	// The fronts know before that their logins are taken: each would fork a
	// core otherwise, which would send another code.
	for _, conn := range fronts {
		var ready [1]byte
		if _, err := conn.Read(ready[:]); err != nil || ready[0] != wire.Ready {
			tb.Fatalf("%x, %v", ready, err)
		}
	}
	do()
	for range fronts {
		g.answer <- struct{}{}
	}
	// Nobody's code is right for another's login, and these are no one's.
	sent := strings.Join(slices.Collect(maps.Keys(codes)), "\n")
	var wrong []string
	for n := 0; len(wrong) < 3; n++ {
		if code := fmt.Sprintf("%06d", n); !strings.Contains(sent, code) {
			wrong = append(wrong, code)
		}
	}
	for i, conn := range fronts {
		verdict, told, err := conn.finish(wrong...)
		if i == 0 && (err != nil || verdict != wire.MaxTries || !strings.Contains(told, "A code was sent to +49…567")) {
			tb.Errorf("%v, %q, %v", verdict, told, err)
		}
		_ = conn.Close()
	}
	if len(codes) < waiting*9/10 {
		tb.Errorf("%d logins had only %d codes", waiting, len(codes))
	}
}
