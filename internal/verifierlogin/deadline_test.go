package verifierlogin

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/wire"
)

// The verifier has less time for a dialogue than whoever asks it, so that its word comes
// while somebody listens.
func TestVerifiersTimeIsLess(t *testing.T) {
	r := newRig(t, "")
	listener, err := net.Listen("unix", r.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	given := make(chan time.Duration, 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if start, err := wire.ReadStart(conn); err == nil {
				given <- start.Timeout
			}
			_ = conn.Close()
		}
	}()
	for _, most := range []time.Duration{2 * time.Minute, time.Hour} {
		ctx, cancel := context.WithTimeout(t.Context(), most)
		r.Login(ctx, by("alice"), says())
		cancel()
		// More than this no verifier takes.
		if got, want := <-given, min(most-time.Second, wire.MaxTimeout); got < time.Second || got >= want {
			t.Errorf("of %v the verifier gets %v, expected less than %v", most, got, want)
		}
	}
}
