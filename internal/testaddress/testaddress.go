// Package testaddress gives tests addresses at which to listen, and to stop listening.
//
// The entry points are [Kept] and [Close]. They promise that nobody else listens there
// before the test ends, as of an address that was let go of another test may be the next
// to have it, and that nobody at all does once the test has stopped.
package testaddress

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Kept is an address of host, 127.0.0.1 or ::1, with a port. Another socket has it, which
// does not listen, so that connections are refused while the test does not listen there.
func Kept(tb testing.TB, host string) string {
	tb.Helper()
	address := netip.MustParseAddr(host)
	family, free := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: address.As16()})
	if address.Is4() {
		family, free = unix.AF_INET, &unix.SockaddrInet4{Addr: address.As4()}
	}
	socket, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(socket) })
	// Package net sets this too, without which nobody may have what another socket has.
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Bind(socket, free); err != nil {
		tb.Fatal(err)
	}
	bound, err := unix.Getsockname(socket)
	if err != nil {
		tb.Fatal(err)
	}
	port := 0
	switch at := bound.(type) {
	case *unix.SockaddrInet4:
		port = at.Port
	case *unix.SockaddrInet6:
		port = at.Port
	}
	return netip.AddrPortFrom(address, uint16(port)).String()
}

// Close closes a listener and has nobody listen there any more. Closing alone does not as
// long as a child that another test forked has a copy of the socket, which it has until
// its program runs.
func Close(tb testing.TB, listener net.Listener) {
	tb.Helper()
	var shut error
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { shut = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
	if err := errors.Join(err, shut, listener.Close()); err != nil {
		tb.Fatal(err)
	}
}
