// Package fronts takes PAM fronts from a Unix socket: quickly, as a person
// waits behind each, and so that fronts which stall cost no thread.
//
// The entry points are [ListenAt], [Passed] and [Accept]. They promise that the kernel's
// word says who is at the other end of a [Conn], and that one who sends nothing
// holds up nobody else.
package fronts

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Acceptors take fronts from a socket and answer them. Each has a thread that
// waits in the kernel for the next front, and that stays with a front which is
// alone. Go's poller would hand that one from goroutine to goroutine, and so from
// processor to processor, before its first byte is read: a tenth of a login.
// Several at once are the poller's, as threads that come back from the kernel
// are not let on in turn, and the slowest would wait twice as long.
type Acceptors struct {
	admit  func(*Conn) (answer func())
	report func(reason string)
	// pause waits after each report: an error may last, as out of descriptors does.
	pause func()

	mu     sync.Mutex
	socket *Socket // nil once it is closed
	// epoll has the socket, which it tells one of those who wait of, and stop,
	// which it tells all of.
	epoll, stop int
	waiting     int
	// answered is how many fronts are being answered.
	answered atomic.Int32
	all      sync.WaitGroup
}

// Spare is how many may wait. One is answered while another one waits for the
// next; of more than that, who comes to an end ends. Each that waits holds one
// of Go's processors until the runtime notices, see [runtime.GOMAXPROCS].
const Spare = 2

// Accept starts to take fronts from socket. admit is called for each, one after
// the other, and returns at once: with what answers the front, or with nil for
// one that is not answered, which is closed then. Whoever waits in the queue
// behind a flood waits for nothing else. What it returned is called on several
// threads at once, and must close the front. report is told of errors that the
// admin can do something about; accepting goes on.
func Accept(socket *Socket, admit func(*Conn) (answer func()), report func(reason string)) (*Acceptors, error) {
	return accept(socket, admit, report, func() { time.Sleep(50 * time.Millisecond) })
}

func accept(socket *Socket, admit func(*Conn) (answer func()), report func(reason string), pause func()) (*Acceptors, error) {
	a := &Acceptors{admit: admit, report: report, pause: pause, socket: socket, epoll: -1, stop: -1}
	if err := a.prepare(); err != nil {
		a.release()
		return nil, fmt.Errorf("wait for connections: %w", err)
	}
	for range Spare {
		a.all.Go(a.work)
	}
	return a, nil
}

func (a *Acceptors) prepare() (err error) {
	if a.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if a.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	return errors.Join(a.watch(unix.EPOLL_CTL_ADD, a.stop, unix.EPOLLIN), a.watch(unix.EPOLL_CTL_ADD, a.socket.fd, oneFront))
}

func (a *Acceptors) release() {
	for _, fd := range []*int{&a.epoll, &a.stop} {
		if *fd >= 0 {
			unix.Close(*fd)
		}
		*fd = -1
	}
}

// oneFront wakes one acceptor, and no other until it is asked for again.
const oneFront = unix.EPOLLIN | unix.EPOLLONESHOT

func (a *Acceptors) watch(how, fd int, events uint32) error {
	return unix.EpollCtl(a.epoll, how, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// work answers one front after the other, as long as an acceptor is needed.
func (a *Acceptors) work() {
	for a.wait() {
		if answer := a.take(); answer != nil {
			answer()
			a.answered.Add(-1)
		}
	}
}

// wait returns when there may be a front to take. It is false if this acceptor
// is one too many, or the socket is closed.
func (a *Acceptors) wait() bool {
	a.mu.Lock()
	needed := a.socket != nil && a.waiting < Spare
	if needed {
		a.waiting++
	}
	a.mu.Unlock()
	if !needed {
		return false
	}
	var event [1]unix.EpollEvent
	for {
		switch n, err := unix.EpollWait(a.epoll, event[:], -1); {
		case err == unix.EINTR:
		case err != nil:
			// Not of a descriptor that is one's own; but it must not spin.
			a.report(err.Error())
			a.pause()
		case n > 0:
			return true
		}
	}
}

// take gets one front to answer, and sees to it that somebody waits for the next.
func (a *Acceptors) take() (answer func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting--
	if a.socket == nil {
		return nil
	}
	if a.waiting == 0 {
		a.all.Go(a.work)
	}
	answer, err := a.next()
	if answer != nil {
		a.answered.Add(1)
	}
	if err != nil {
		a.report(err.Error())
		a.pause()
	}
	if err := a.watch(unix.EPOLL_CTL_MOD, a.socket.fd, oneFront); err != nil {
		a.report(err.Error())
	}
	return answer
}

// turn is how many fronts that are not admitted are dropped at a time. Then
// whoever wants to wait or to close gets the lock.
const turn = 64

// next accepts fronts until one is admitted. Those that are not are dropped
// without a wait between them, so that they cost the ones behind them little.
func (a *Acceptors) next() (answer func(), err error) {
	alone := a.answered.Load() == 0
	for range turn {
		conn, err := a.socket.accept(alone)
		if conn == nil {
			return nil, err
		}
		if answer = a.admit(conn); answer == nil {
			_ = conn.Close()
			continue
		}
		if alone {
			return answer, conn.wait()
		}
		return answer, nil
	}
	return nil, nil
}

// Close takes no more fronts. Those that are being answered go on; those that
// wait in the queue fork a core, or stay there for systemd's next verifier.
func (a *Acceptors) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.socket == nil {
		return nil
	}
	err := a.watch(unix.EPOLL_CTL_DEL, a.socket.fd, 0)
	closed := a.socket.Close()
	a.socket = nil
	_, told := unix.Write(a.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // see eventfd(2)
	return errors.Join(err, closed, told)
}

// Drain is Close, and then waits until all fronts have been answered, at most
// for so long, also where Close fails: its error comes afterwards.
func (a *Acceptors) Drain(most time.Duration) error {
	closed := a.Close()
	done := make(chan struct{})
	go func() { a.all.Wait(); close(done) }()
	select {
	case <-done:
		a.release()
		return closed
	case <-time.After(most):
		return errors.Join(closed, errors.New("dialogues were still open"))
	}
}
