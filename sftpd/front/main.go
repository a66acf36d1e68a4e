// Command front speaks SSH and SFTP with clients for sftpd's broker, which
// starts it and hands it connections.
//
// It is the only part that reads what the network sends, so it has no rights:
// a user of its own, an empty directory for a root, no new privileges, and no
// system calls that open or connect. What it is allowed to do for a client it
// asks the broker, over a socket for each connection; files it gets as open
// descriptors from the client's own worker.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/confine"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/monitor"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// controlFD is the connection to the broker.
const controlFD = 3

// monitorSlack is small, as a file on a slow disk holds the other connections up for
// twice as long.
const monitorSlack = time.Millisecond

func main() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(1 << 30)
	control, err := seqpacket.New(controlFD)
	if err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-front: it is started by otpgate-sftpd:", err)
		os.Exit(2)
	}
	monitor.Slow(monitorSlack)
	all, err := limitOfAll()
	if err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-front: limit of open files:", err)
		os.Exit(1)
	}
	f := &front{control: control, open: all, draining: make(chan struct{})}
	if err := f.serve(); err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-front:", err)
		os.Exit(1)
	}
}

type front struct {
	control     *seqpacket.Conn
	settings    messages.Settings
	open        *openLimit
	connections sync.WaitGroup
	draining    chan struct{} // closed when no new work is begun
	drained     sync.Once
}

// serve takes connections until the broker says that it is over, or is gone;
// those that are open may go on.
func (f *front) serve() error {
	buffer := make([]byte, seqpacket.MaxSize)
	if err := f.become(buffer); err != nil {
		return err
	}
	defer f.connections.Wait()
	defer f.drain()
	for {
		n, fds, err := f.control.Receive(buffer)
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, seqpacket.ErrTooLarge):
			// No descriptor was left for a connection, which the broker sees end.
			continue
		case err != nil:
			return err
		}
		if err := f.take(buffer[:n], fds); err != nil {
			seqpacket.CloseAll(fds)
			return err
		}
	}
}

func (f *front) drain() { f.drained.Do(func() { close(f.draining) }) }

// become takes the rights away, which the first message says how.
func (f *front) become(buffer []byte) error {
	n, fds, err := f.control.Receive(buffer)
	seqpacket.CloseAll(fds)
	if err != nil {
		return err
	}
	r := fields.NewReader(buffer[:n])
	op := r.U8()
	id := confine.Identity{UID: r.U32(), GID: r.U32(), Root: r.Text(), Home: "/"}
	if r.Done() != nil || op != messages.FrontBecome {
		return fields.ErrMalformed
	}
	if err := confine.Become(id, false); err != nil {
		return err
	}
	return confine.Narrow()
}

func (f *front) take(message []byte, fds []int) error {
	r := fields.NewReader(message)
	switch op := r.U8(); {
	case op == messages.FrontSettings && len(fds) == 0:
		settings := messages.ReadSettings(r)
		if err := r.Done(); err != nil {
			return err
		}
		f.settings = settings
		return nil
	case op == messages.FrontDrain && len(fds) == 0:
		f.drain()
		return nil
	case op == messages.FrontConnection && len(fds) == 2:
		remote := r.Text()
		return r.Then(func() error { return f.accept(fds[0], fds[1], remote) })
	}
	return fields.ErrMalformed
}

// accept serves a connection. The error is about what the broker sent.
func (f *front) accept(fd, brokerFD int, remote string) error {
	broker, err := seqpacket.New(brokerFD)
	if err != nil {
		unix.Close(fd)
		return nil // the client is gone already
	}
	file := os.NewFile(uintptr(fd), "client")
	conn, err := open(file)
	if err != nil {
		broker.Close()
		return nil
	}
	settings := f.settings
	f.connections.Go(func() {
		asked := &brokerConn{conn: broker}
		c := &connection{front: f, settings: settings, open: f.open.forConnection(), conn: conn, broker: asked, remote: remote,
			channels: activity{now: time.Now}, operations: newOperations(asked.note)}
		c.serve()
	})
	return nil
}

func open(file *os.File) (*bufferedConn, error) {
	defer file.Close()
	plain, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	c, err := newBufferedConn(plain)
	if err != nil {
		plain.Close()
	}
	return c, err
}
