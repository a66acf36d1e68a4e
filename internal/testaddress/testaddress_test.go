package testaddress

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Connections are refused there but while the test listens, and nobody else is given it.
func TestKept(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		address := Kept(t, host)
		for range 2 {
			if conn, err := net.Dial("tcp", address); !errors.Is(err, unix.ECONNREFUSED) {
				t.Fatalf("%s: %v, %v, expected nobody to listen there", address, conn, err)
			}
			listener, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
			listener.Close()
		}
	}
}
