package remotelogin

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// A server has less time for a dialogue than the client waits, so that its word comes while
// somebody listens.
func TestServersTimeIsLess(t *testing.T) {
	given := make(chan time.Duration, 1)
	server := newFake(t, func(_ *fake, conn *tls.Conn) {
		if _, err := remotewire.ReadTake(conn); err != nil || remotewire.WriteAnswer(conn, remotewire.Answer{Taken: true, Ledger: "one"}) != nil {
			return
		}
		if begin, err := remotewire.ReadBegin(conn); err == nil {
			given <- begin.Start.Timeout
		}
	})
	s := newServers(t, patience, server)
	for _, most := range []time.Duration{patience, wire.MaxTimeout} {
		taken, err := s.Take(t.Context(), remotewire.Take{ID: remotewire.NewID()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := taken.Run(remotewire.Begin{}, &typist{}, time.Now().Add(most)); err == nil {
			t.Error("a dialogue that broke off has an outcome")
		}
		if got := <-given; got < time.Second || got >= most-time.Second {
			t.Errorf("of %v the server gets %v, expected less than %v", most, got, most-time.Second)
		}
	}
}
