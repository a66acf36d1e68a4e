package admission

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
)

// The PROXY protocol, versions 1 and 2, as
// https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt has it. Headers
// are read from listed addresses alone, before anything else: the address that
// the policy goes by must not be a front's word. What is read is bounded and
// nothing is read ahead.

const (
	proxyTimeout = 5 * time.Second
	proxyLine    = 107 // bytes of a line of version 1, at most
	proxyMost    = 1024
)

var (
	errNoHeader    = errors.New("no header of the PROXY protocol, which this address must send")
	proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// Listed says whether an address is in one of the networks.
func Listed(remote netip.Addr, networks []config.Network) bool {
	return slices.ContainsFunc(networks, func(n config.Network) bool { return n.Contains(remote) })
}

// ProxiedAddress reads the header and returns the client's address: the proxy's
// own for what the proxy sends by itself.
func ProxiedAddress(conn net.Conn, proxy netip.Addr) (netip.Addr, error) {
	if err := conn.SetReadDeadline(time.Now().Add(proxyTimeout)); err != nil {
		return proxy, err
	}
	client, err := readProxy(conn, proxy)
	return client, errors.Join(err, conn.SetReadDeadline(time.Time{}))
}

func readProxy(r io.Reader, proxy netip.Addr) (netip.Addr, error) {
	head := make([]byte, len(proxySignature))
	if _, err := io.ReadFull(r, head); err != nil {
		return proxy, errNoHeader
	}
	if bytes.Equal(head, proxySignature) {
		return readProxy2(r, proxy)
	}
	if !bytes.HasPrefix(head, []byte("PROXY ")) {
		return proxy, errNoHeader
	}
	for !bytes.HasSuffix(head, []byte("\n")) {
		var one [1]byte
		if _, err := io.ReadFull(r, one[:]); err != nil || len(head) >= proxyLine {
			return proxy, errNoHeader
		}
		head = append(head, one[0])
	}
	fields := strings.Split(strings.TrimSuffix(string(head), "\r\n"), " ")
	switch {
	case len(fields) >= 2 && fields[1] == "UNKNOWN":
		return proxy, nil
	case len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6":
		return proxy, errNoHeader
	}
	client, err := netip.ParseAddr(fields[2])
	if err != nil || client.Zone() != "" || client.Is4() != (fields[1] == "TCP4") {
		return proxy, errNoHeader
	}
	return client.Unmap(), nil
}

func readProxy2(r io.Reader, proxy netip.Addr) (netip.Addr, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || head[0]>>4 != 2 {
		return proxy, errNoHeader
	}
	length := int(binary.BigEndian.Uint16(head[2:]))
	if length > proxyMost {
		return proxy, errNoHeader
	}
	rest := make([]byte, length)
	if _, err := io.ReadFull(r, rest); err != nil {
		return proxy, errNoHeader
	}
	const local, proxying = 0, 1
	switch {
	case head[0]&0xF == local:
		return proxy, nil
	case head[0]&0xF != proxying:
		return proxy, errNoHeader
	case head[1] == 0x11 && length >= 12: // TCP over IPv4
		return netip.AddrFrom4([4]byte(rest[:4])), nil
	case head[1] == 0x21 && length >= 36: // TCP over IPv6
		return netip.AddrFrom16([16]byte(rest[:16])).Unmap(), nil
	}
	return proxy, errNoHeader
}
