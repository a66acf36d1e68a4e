package admission

import (
	"net/netip"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
)

// Whoever has many networks fails from all of them: what is remembered stays
// bounded, and that costs little for each.
func TestManySources(t *testing.T) {
	now := time.Now()
	d := NewCounter(func() time.Time { return now })
	limits := config.SFTPLimits{MaxStartups: 10, StartupsPerSource: 10, Penalties: true}
	waits := netip.MustParseAddr("192.0.2.1")
	if d.Admit(waits, limits) != (Refusal{}) {
		t.Fatal("turned away")
	}
	began := time.Now()
	for n := range 3 * maxSources {
		addr := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		if d.Admit(addr, limits) != (Refusal{}) {
			t.Fatalf("source %d is turned away", n)
		}
		d.Release(addr, limits, Result{Penalty: penaltyMost})
	}
	if len(d.sources) > maxSources {
		t.Errorf("%d sources are remembered, expected at most %d", len(d.sources), maxSources)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	if d.Release(waits, limits, Result{}); d.Pending() != 0 {
		t.Errorf("%d are waiting", d.Pending())
	}
}
