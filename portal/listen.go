package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/otpgate/otpgate/internal/daemon"
)

// listen takes the sockets that systemd passes (sd_listen_fds(3)), or else listens where
// the configuration says. Without a certificate nothing is shown over a network.
func listen(address string, pair *keyPair) ([]net.Listener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take systemd's sockets: %w", err)
	}
	if len(passed) == 0 {
		l, err := listenAt(address)
		if err != nil {
			return nil, fmt.Errorf("portal.listen: %w", err)
		}
		passed = append(passed, l)
	}
	for i, l := range passed {
		switch unix, loopback := listening(l); {
		case unix:
		case pair != nil:
			passed[i] = tls.NewListener(l, &tls.Config{GetCertificate: pair.get, NextProtos: []string{"h2", "http/1.1"}})
		case !loopback:
			return nil, fmt.Errorf("listening at %v without TLS, expected certificate_file and key_file in [portal], or ListenStream= with a path or a loopback address", l.Addr())
		}
	}
	return passed, nil
}

// listenAt makes a Unix socket for its owner and group, the web server's, or listens
// at an address.
func listenAt(address string) (net.Listener, error) {
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		l, err := daemon.ListenUnix(path, 0o660)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w; make the directory and give it to the page's user, or have systemd listen there: systemctl enable --now otpgate-portal.socket", err)
		}
		return l, err
	}
	return net.Listen("tcp", address)
}

// listening says whether a listener is a Unix socket, and if not, whether it is for this
// machine alone.
func listening(l net.Listener) (unix, loopback bool) {
	switch at := l.Addr().(type) {
	case *net.UnixAddr:
		return true, false
	case *net.TCPAddr:
		return false, at.IP.IsLoopback()
	}
	return false, false
}
