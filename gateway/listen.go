package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/otpgate/otpgate/internal/audit"
)

// listen takes systemd's sockets, or listens on the addresses.
func listen(addresses []string) ([]*net.TCPListener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take systemd's sockets: %w", err)
	}
	if len(passed) == 0 {
		for _, address := range addresses {
			l, err := net.Listen("tcp", address)
			if err != nil {
				return nil, fmt.Errorf("gateway.listen: %w", err)
			}
			passed = append(passed, l)
		}
	}
	var listeners []*net.TCPListener
	for _, l := range passed {
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return nil, errors.New("systemd passed a socket that is not for TCP, expected ListenStream= with a port")
		}
		listeners = append(listeners, tcp)
	}
	return listeners, nil
}

// accept lets connections in until the listener is closed.
func (g *gateway) accept(l *net.TCPListener) {
	for {
		conn, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// There are no descriptors or no memory just now.
			g.log.Write(audit.Record{Verdict: "fault", Rule: "accept", Reason: err.Error() + "; connections wait"})
			time.Sleep(50 * time.Millisecond)
			continue
		}
		g.all.Go(func() { g.connection(conn) })
	}
}
