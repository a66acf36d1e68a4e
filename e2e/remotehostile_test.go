package e2e

import (
	"net"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// A thousand connections that say nothing, from one address, leave others' logins as
// they are.
func TestRemoteStalled(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "r-stalled-s", "[totp]\nwindow = 3\n")
	p := machine.WithoutUser("rem").Enroll(t, server.Users)
	client := machine.NewClient(t, "r-stalled", machine.Client{}, server)
	client.CodeOnly(t, "r-stalled", "protocol=ssh")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}
	for range 1000 {
		conn, err := dialer.Dial("tcp", server.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	machine.Log.Expect(t, "remote=127.9.9.9", "verdict=turned-away", "rule=gateway.handshakes")
	for steps := -1; steps <= 1; steps++ {
		if !remoteLogin(t, client, p, p.Code(t, steps)) {
			t.Errorf("not in:\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
}
