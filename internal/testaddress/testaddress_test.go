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
			Close(t, listener)
		}
	}
}

// Nobody listens there any more, also while somebody has a copy of the socket.
func TestCloseOfAll(t *testing.T) {
	address := Kept(t, "127.0.0.1")
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	Close(t, listener)
	if conn, err := net.Dial("tcp", address); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("%v, %v, expected nobody to listen there", conn, err)
	}
}
