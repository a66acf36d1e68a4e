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
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/wire"
)

// enrollPhone gives name a factor of kind sms and nothing else.
func (p *place) enrollPhone(tb testing.TB, name string) {
	tb.Helper()
	text := fmt.Sprintf("version = 1\nuser = %q\nphone = \"+491511234567\"\n[[factor]]\nid = \"mobile\"\nkind = \"sms\"\nconfirmed = 2026-01-01T00:00:00Z\n", name)
	if err := os.WriteFile(filepath.Join(p.users, name+".toml"), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// A hundred logins that wait for a gateway leave the others as fast as they
// are, and get in once it has answered.
func TestSlowGateway(t *testing.T) {
	const few, most, logins, waiting = 5, 24, 100, 100
	asked, answer := make(chan string, 2*waiting), make(chan struct{})
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("text")
		<-answer
	}))
	t.Cleanup(gateway.Close)
	p := newPair(t, most*logins, wide+fmt.Sprintf("[sent]\nper_hour = 1000\n[sms]\nurl = %q\nmethod = \"GET\"\ntimeout = \"2m\"\n",
		gateway.URL+"/?to={otp_to}&text={otp_token}"))
	for i := range waiting {
		p.busy.enrollPhone(t, fmt.Sprintf("waits%d", i))
	}
	// A configuration that is newer is read again for each login, and the front
	// is told before that.
	for _, place := range []*place{p.busy, p.free} {
		for state, err := config.StateOf(place.config); !state.Settled(time.Now()); time.Sleep(100 * time.Millisecond) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	atMostTwice(t, few, most, func() ratios { return p.compareBeside(t, logins, waiting, asked, answer) })
}

// compareBeside is compare while so many logins wait for the gateway; then it
// answers, and they are asked for the code.
func (p *pair) compareBeside(t *testing.T, logins, waiting int, asked <-chan string, answer chan<- struct{}) ratios {
	t.Helper()
	fronts := make([]front, waiting)
	for i := range fronts {
		fronts[i] = dial(t, p.busy.socket)
		if err := wire.WriteStart(fronts[i], p.busy.start(fmt.Sprintf("waits%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	codes := map[string]bool{}
	for range fronts {
		codes[<-asked] = true
	}
	// The fronts know before that their logins are taken: each would fork a
	// core otherwise, which would send another code.
	for _, conn := range fronts {
		var ready [1]byte
		if _, err := conn.Read(ready[:]); err != nil || ready[0] != wire.Ready {
			t.Fatalf("%x, %v", ready, err)
		}
	}
	measured := p.compare(t, logins)
	for range fronts {
		answer <- struct{}{}
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
			t.Errorf("%v, %q, %v", verdict, told, err)
		}
		_ = conn.Close()
	}
	if len(codes) < waiting*9/10 {
		t.Errorf("%d logins had only %d codes", waiting, len(codes))
	}
	return measured
}
