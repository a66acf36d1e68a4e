package pinned

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long a machine that has gone without a word is taken for alive: what was sent
// must be acknowledged, and one that says nothing is asked whether it is there.
const (
	unacknowledged = 5 * time.Second
	keepalive      = 15 * time.Second
)

var alive = net.KeepAliveConfig{Enable: true, Idle: keepalive, Interval: keepalive, Count: 3}

// Dial makes a TCP connection that notices when the other machine has gone.
func Dial(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: alive, Control: func(_, _ string, raw syscall.RawConn) error { return setUserTimeout(raw) }}
	return dialer.DialContext(ctx, "tcp", address)
}

// KeepAlive has a connection that was accepted notice when the other machine has gone.
func KeepAlive(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(conn.SetKeepAliveConfig(alive), setUserTimeout(raw))
}

func setUserTimeout(raw syscall.RawConn) (err error) {
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged.Milliseconds()))
	})
	return errors.Join(controlErr, err)
}
