package main

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
)

// dialFrom connects from an address of this machine, and says nothing.
func (r *rig) dialFrom(t *testing.T, address string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := dialer.DialContext(context.Background(), "tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// halfway is a connection whose handshake gets as far as the other side's first word.
type halfway struct {
	net.Conn
	begun chan error
}

// Read implements net.Conn.
func (h halfway) Read(to []byte) (int, error) {
	_, err := h.Conn.Read(to)
	h.begun <- err
	return 0, io.EOF
}

// hold has a stranger at an address take a place, if there is one.
func (r *rig) hold(t *testing.T, address string) error {
	t.Helper()
	conn := halfway{r.dialFrom(t, address), make(chan error, 1)}
	if err := pinned.Client(conn, r.key, func(config.KeyHash) error { return nil }).Handshake(); err == nil {
		t.Fatal("the handshake went on")
	}
	return <-conn.begun
}

// fill has strangers take all places for handshakes.
func (r *rig) fill(t *testing.T) {
	t.Helper()
	for _, address := range []string{"127.0.0.2", "127.0.0.3"} {
		if err := r.hold(t, address); err != nil {
			t.Fatal(err)
		}
	}
}

// Strangers who hold all handshakes keep no client out that comes from an address in its
// file, or from where it came before.
func TestPlacesOfClients(t *testing.T) {
	limits := unhurried
	limits.handshakes.AtOnce = 2
	listed := newRig(t, limits, func(c *clients.Client) {
		var here config.Network
		if err := here.UnmarshalText([]byte("127.0.0.1")); err != nil {
			t.Fatal(err)
		}
		c.Addresses = []config.Network{here}
	}, takes(t))
	listed.fill(t)
	listed.dialFrom(t, "127.0.0.4")
	listed.log.expect(t, "gateway.handshakes", "have not shown their key yet")
	login(t, listed.dial(t, listed.key))

	before := newRig(t, limits, nil, takes(t))
	login(t, before.dial(t, before.key))
	before.fill(t)
	before.dialFrom(t, "127.0.0.4")
	before.log.expect(t, "gateway.handshakes", "have not shown their key yet")
	login(t, before.dial(t, before.key))
}

// Nor do strangers who hold all places keep a client out that comes from anywhere for
// the first time.
func TestPlacesOfNewAddress(t *testing.T) {
	limits := unhurried
	limits.handshakes.AtOnce, limits.handshakes.Reserve = 2, 0
	r := newRig(t, limits, nil, takes(t))
	r.fill(t)
	login(t, r.dial(t, r.key))
	r.log.expect(t, "gateway.handshakes", "have not shown their key yet")
}

// Whoever shares a client's address, as its own users do, those behind the same balancer
// and, with IPv6, all of its network, holds no place that the client needs.
func TestPlacesOfOneAddress(t *testing.T) {
	limits := unhurried
	limits.handshakes.PerSource = 4
	r := newRig(t, limits, nil, takes(t))
	login(t, r.dial(t, r.key))
	for range 3 * limits.handshakes.PerSource {
		_ = r.hold(t, "127.0.0.1")
	}
	login(t, r.dial(t, r.key))
	r.log.expect(t, "gateway.handshakes", "have not shown their key yet")
}

// What is read of somebody who has shown no key is bounded.
func TestHandshakeBytes(t *testing.T) {
	r := newRig(t, unhurried, nil, takes(t))
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A ClientHello of 60,000 bytes, in records of 4,096.
	hello := append([]byte{1, 0, 0xea, 0x60}, make([]byte, 60_000)...)
	for len(hello) > 0 {
		n := min(len(hello), 4096)
		record := append([]byte{22, 3, 1, byte(n >> 8), byte(n)}, hello[:n]...)
		if _, err := conn.Write(record); err != nil {
			break // it has gone already
		}
		hello = hello[n:]
	}
	r.log.expect(t, "gateway.handshake", "a handshake of more than 16384 bytes")
	login(t, r.dial(t, r.key))
}
