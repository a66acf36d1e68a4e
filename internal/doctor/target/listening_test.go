package target

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/otpgate/otpgate/internal/testaddress"
)

// Sockets that listen are found, by IPv4 and IPv6, until they are closed.
func TestListening(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", testaddress.Kept(t, host))
		if err != nil {
			t.Fatal(err)
		}
		want := Listening{netip.MustParseAddrPort(l.Addr().String()), uint32(os.Geteuid())}
		if all, err := (&Machine{}).Listening(); err != nil || !slices.Contains(all, want) {
			t.Errorf("%v is not among %v, %v", want, all, err)
		}
		testaddress.Close(t, l)
		if all, err := (&Machine{}).Listening(); err != nil || slices.Contains(all, want) {
			t.Errorf("%v is among %v, %v", want, all, err)
		}
	}
}
