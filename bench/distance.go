package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// roundTrip is how far away the distant server is.
const roundTrip = 20 * time.Millisecond

// distance is a program that stands between a client and a server, passes on each
// piece half a round trip later, and counts the ways: a way is over when somebody
// answers what it brought. It is one of its own, as what it does must not wait for a
// processor longer than the machines on both sides.
type distance struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	// address is where the server is reached through it.
	address string
	// ways has the number of ways of each login, and took what they took together.
	ways []int
	took []time.Duration
}

// startDistance starts the program in front of a server. TCP's own handshake has no
// delay; connections are kept.
func startDistance(to string) (*distance, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a distant server: %w", err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, fmt.Errorf("listen for a distant server: %w", err)
	}
	defer file.Close()
	d := &distance{cmd: exec.Command("nice", "-n", "-15", os.Args[0], "-distance", to), address: listener.Addr().String()}
	d.cmd.Stderr, d.cmd.ExtraFiles = os.Stderr, []*os.File{file}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	d.out = bufio.NewScanner(out)
	if err := withSlack(exact, d.cmd.Start); err != nil {
		return nil, fmt.Errorf("start the distance: %w", err)
	}
	return d, nil
}

// note gets the figures of the login that has just ended.
func (d *distance) note() error {
	if d == nil {
		return nil
	}
	if _, err := fmt.Fprintln(d.in); err != nil {
		return fmt.Errorf("ask the distance: %w", err)
	}
	if !d.out.Scan() {
		return fmt.Errorf("the distance ended: %v", d.out.Err())
	}
	var ways int
	var took int64
	if n, err := fmt.Sscan(d.out.Text(), &ways, &took); n != 2 {
		return fmt.Errorf("the distance said %q: %w", d.out.Text(), err)
	}
	d.ways, d.took = append(d.ways, ways), append(d.took, time.Duration(took))
	return nil
}

// end ends the program.
func (d *distance) end() {
	if d == nil {
		return
	}
	d.in.Close()
	_ = d.cmd.Wait() // nothing is lost
}

// serveDistance is the program: for each line that it reads it writes how many ways
// there were since the last one, and how many nanoseconds they took.
func serveDistance(to string) error {
	file := os.NewFile(3, "listener")
	listener, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("take the listener: %w", err)
	}
	w := &ways{}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go w.carry(near, to)
		}
	}()
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		number, took := w.since()
		fmt.Println(number, took.Nanoseconds())
	}
	return nil
}

// ways counts the ways of all connections, which have one login at a time.
type ways struct {
	mu      sync.Mutex
	number  int
	took    time.Duration
	outward bool          // where the last piece went
	last    time.Duration // what it took
}

// since gives what was counted, and begins anew. The last way has no answer.
func (w *ways) since() (number int, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, took = w.number, w.took+w.last
	w.number, w.took, w.last, w.outward = 0, 0, 0, false
	return number, took
}

// arrived notes a piece that is still to be passed on.
func (w *ways) arrived(outward bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.number == 0 || w.outward != outward {
		w.number++
		w.took += w.last
		w.outward, w.last = outward, 0
	}
}

// passed notes what a piece took.
func (w *ways) passed(took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = took
}

// carry is one connection, until either side ends it.
func (w *ways) carry(near net.Conn, to string) {
	defer near.Close()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return // the client says that it was closed
	}
	defer far.Close()
	ended := make(chan struct{}, 2)
	for _, way := range []struct {
		from, to net.Conn
		outward  bool
	}{{near, far, true}, {far, near, false}} {
		go func() {
			w.delay(way.from, way.to, way.outward)
			ended <- struct{}{}
		}()
	}
	<-ended
}

// delay passes on what comes, each piece half a round trip later.
func (w *ways) delay(from io.Reader, to io.Writer, outward bool) {
	type piece struct {
		came time.Time
		data []byte
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			data := make([]byte, 32<<10)
			n, err := from.Read(data)
			if err != nil {
				return
			}
			w.arrived(outward)
			pieces <- piece{time.Now(), data[:n]}
		}
	}()
	for p := range pieces {
		sleepUntil(p.came.Add(roundTrip / 2))
		took := time.Since(p.came)
		w.passed(took)
		if _, err := to.Write(p.data); err != nil {
			return
		}
	}
}

// sleepUntil is later than that by less than the runtime's timers are.
func sleepUntil(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		wait := unix.NsecToTimespec(left.Nanoseconds())
		if err := unix.Nanosleep(&wait, nil); err != nil && !errors.Is(err, unix.EINTR) {
			time.Sleep(left)
		}
	}
}
