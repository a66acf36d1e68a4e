package daemon

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
)

// ListenTCP takes the sockets that systemd passes (sd_listen_fds(3)), or else listens
// on the addresses, which are those of key in the configuration.
func ListenTCP(key string, addresses []string) ([]*net.TCPListener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take systemd's sockets: %w", err)
	}
	if len(passed) == 0 {
		for _, address := range addresses {
			l, err := net.Listen("tcp", address)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
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

// AcceptTCP is Accept for TCP.
func AcceptTCP(l *net.TCPListener, serve func(*net.TCPConn), fault func(reason string)) {
	Accept(l, func(conn net.Conn) { serve(conn.(*net.TCPConn)) }, fault)
}

// Accept has serve take each connection until the listener is closed; the next one waits
// until serve returns. fault is told why none can be taken just now; they wait meanwhile.
func Accept(l net.Listener, serve func(net.Conn), fault func(reason string)) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// There are no descriptors or no memory.
			fault(err.Error() + "; connections wait")
			time.Sleep(50 * time.Millisecond)
			continue
		}
		serve(conn)
	}
}
