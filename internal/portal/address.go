package portal

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/config"
)

// errNoAddress is of a proxy that is trusted and does not say whom a request is of.
var errNoAddress = errors.New("the proxy does not say whom a request came from: have it set X-Forwarded-For, " +
	"in nginx by proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for")

// clientAddress is where a request came from: what is connected, unless that is a proxy
// that is trusted. Then it is the last in X-Forwarded-For that is no such proxy: what
// is before it is that one's word, and nobody's.
func clientAddress(r *http.Request, proxies []config.Network) (netip.Addr, error) {
	trusted := func(addr netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(n config.Network) bool { return n.Contains(addr) })
	}
	var at netip.Addr // none yet at a Unix socket, whose modes say who may connect
	if _, unix := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr); !unix {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return at, errors.New("a connection without an address")
		}
		at = plain(peer.Addr())
	}
	said := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for len(said) > 0 && (!at.IsValid() || trusted(at)) {
		next, ok := parseAddress(said[len(said)-1])
		if !ok {
			break
		}
		at, said = next, said[:len(said)-1]
	}
	if !at.IsValid() {
		return at, errNoAddress
	}
	return at, nil
}

// parseAddress reads an address. Some proxies write a port behind it.
func parseAddress(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		var with netip.AddrPort
		with, err = netip.ParseAddrPort(text)
		addr = with.Addr()
	}
	return plain(addr), err == nil
}

// plain is an address as it is counted: without a zone, and IPv4 as that.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
