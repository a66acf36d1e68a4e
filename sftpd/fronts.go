package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/session"
	"github.com/otpgate/otpgate/internal/sftpd/stderrlog"
)

// front is a process that speaks SSH.
type front struct {
	control *seqpacket.Conn
	cmd     *exec.Cmd
	mu      sync.Mutex // one message at a time on control
	keys    []hostKey  // that it was told last
	gone    chan struct{}
	// stalledAfter is how long it may take nothing off control.
	stalledAfter time.Duration
}

// startFronts starts them all; each is started again when it ends.
func (b *broker) startFronts() error {
	for range b.frontCount() {
		f, err := b.startFront()
		if err != nil {
			return fmt.Errorf("start a front: %w", err)
		}
		b.mu.Lock()
		b.fronts = append(b.fronts, f)
		b.mu.Unlock()
		go b.supervise(f)
	}
	return nil
}

func (b *broker) startFront() (*front, error) {
	control, cmd, err := session.StartProcess(stderrlog.New(os.Stderr, "a front", b.now, &b.frontsSay), b.programs.front, "otpgate-sftpd-front", "GOMAXPROCS=1")
	if err != nil {
		return nil, err
	}
	f := &front{control: control, cmd: cmd, gone: make(chan struct{}), stalledAfter: stalledAfter}
	var become fields.Writer
	become.U8(messages.FrontBecome).U32(b.front.uid).U32(b.front.gid).Text(b.front.root)
	return f, errors.Join(f.send(become.Bytes), b.tell(f))
}

// tell gives a front the settings for connections from now on.
func (b *broker) tell(f *front) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	// What is told last is what holds last.
	settings, keys := b.frontSettings()
	w := fields.Message(messages.FrontSettings)
	settings.Write(w)
	err := f.sendLocked(w.Bytes)
	if err == nil {
		f.keys = keys
	}
	return err
}

// give sends a connection, and returns the host keys that the front offers on
// it.
func (f *front) give(message []byte, fds ...int) ([]hostKey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys, f.sendLocked(message, fds...)
}

// stalledAfter is so long that a front is not stalled which has a thousand handshakes to
// make on a machine that is busy with other things.
const stalledAfter = 20 * time.Second

func (f *front) send(message []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sendLocked(message)
}

// sendLocked ends a front that is stalled: what is sent to it would be held up, and
// count as being at its login.
func (f *front) sendLocked(message []byte, fds ...int) error {
	err := f.control.SetDeadline(time.Now().Add(f.stalledAfter))
	if err == nil {
		err = f.control.Send(message, fds...)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = f.cmd.Process.Kill() // it is gone already
	}
	return err
}

// supervise starts another front in the place of one that ended. Its
// connections are gone; nobody else's are.
func (b *broker) supervise(f *front) {
	for pause := 10 * time.Millisecond; ; {
		began := time.Now()
		err := f.cmd.Wait()
		close(f.gone)
		f.control.Close()
		if b.isEnding() {
			return
		}
		b.report("front", fmt.Errorf("a front ended: %v; another is started", errorOr(err, f.cmd.ProcessState)))
		b.metrics.restarted()
		if time.Since(began) > time.Minute {
			pause = 10 * time.Millisecond
		}
		next := b.replaceFront(f, &pause)
		if next == nil {
			return
		}
		f = next
	}
}

func errorOr(err error, state *os.ProcessState) any {
	if err != nil {
		return err
	}
	return state
}

// replaceFront tries until there is another one.
func (b *broker) replaceFront(old *front, pause *time.Duration) *front {
	for !b.isEnding() {
		time.Sleep(*pause)
		*pause = min(2**pause, 10*time.Second)
		f, err := b.startFront()
		if err != nil {
			b.report("front", err)
			continue
		}
		b.mu.Lock()
		b.fronts[slices.Index(b.fronts, old)] = f
		b.mu.Unlock()
		// What was reloaded meanwhile was told to the old one.
		if err := b.tell(f); err != nil {
			b.report("front", err)
		}
		return f
	}
	return nil
}

func (b *broker) isEnding() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ended
}

// pick is the front whose turn it is, of those that run. How many connections it
// has counts for nothing: one that is taken over would draw everybody by hanging
// up on those that it has.
func (b *broker) pick() *front {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.fronts {
		b.next++
		f := b.fronts[b.next%len(b.fronts)]
		select {
		case <-f.gone:
		default:
			return f
		}
	}
	return b.fronts[0] // none runs
}

func (b *broker) allFronts() []*front {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*front(nil), b.fronts...)
}

func (b *broker) tellFronts() {
	for _, f := range b.allFronts() {
		if err := b.tell(f); err != nil {
			b.report("front", err)
		}
	}
}

// drain waits until what is under way is done; a second signal ends it.
func (b *broker) drain(signals <-chan os.Signal) {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	for _, f := range b.allFronts() {
		// One that is gone has nothing to end.
		_ = f.send([]byte{messages.FrontDrain})
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for b.connections.Load() > 0 {
		select {
		case s := <-signals:
			if s != syscall.SIGHUP {
				return
			}
		case <-tick.C:
		}
	}
	b.authenticator.Workers.Wait(2 * time.Second)
}
