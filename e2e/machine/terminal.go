package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Terminal is a program in a terminal of its own, as a person would have it.
type Terminal struct {
	Cmd    *exec.Cmd
	master *os.File

	mu     sync.Mutex
	output []byte
	ended  chan struct{} // closed when the program has ended and all is read
	status int
}

// Open starts cmd in a new terminal, as the leader of a session that has the
// terminal as its controlling one.
func Open(t T, cmd *exec.Cmd) *Terminal {
	t.Helper()
	master, slave, err := newPTY()
	if err != nil {
		t.Fatalf("open a terminal: %v", err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if c := cmd.SysProcAttr.Credential; c != nil {
		if err := slave.Chown(int(c.Uid), -1); err != nil {
			t.Fatalf("give the terminal to uid %d: %v", c.Uid, err)
		}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	terminal := &Terminal{Cmd: cmd, master: master, ended: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	slave.Close()
	exited := make(chan struct{})
	go terminal.read(exited)
	go terminal.wait(exited)
	t.Cleanup(terminal.Kill)
	return terminal
}

func newPTY() (master, slave *os.File, err error) {
	// Without O_NONBLOCK a read could not be ended by Close.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("unlock: %w", err), master.Close())
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("number: %w", err), master.Close())
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	return master, slave, nil
}

// read collects the output. A terminal that nobody has open reads as EIO, also
// for a moment while login(1) hangs it up and opens it again.
func (c *Terminal) read(exited <-chan struct{}) {
	defer close(c.ended)
	buffer := make([]byte, 4096)
	for {
		over := false
		select {
		case <-exited:
			over = true // so that all it has written is there to be read
		default:
		}
		n, err := c.master.Read(buffer)
		c.mu.Lock()
		c.output = append(c.output, buffer[:n]...)
		c.mu.Unlock()
		if err == nil {
			continue
		}
		if !errors.Is(err, unix.EIO) {
			<-exited
			return
		}
		if over {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (c *Terminal) wait(exited chan<- struct{}) {
	// The status says all that the error would.
	_ = c.Cmd.Wait()
	c.status = c.Cmd.ProcessState.ExitCode()
	close(exited)
}

// Kill ends the program and everything else in the terminal's session.
func (c *Terminal) Kill() {
	select {
	case <-c.ended:
	default:
		_ = unix.Kill(-c.Cmd.Process.Pid, unix.SIGKILL)
		_ = c.Cmd.Process.Kill()
	}
	_ = c.master.Close()
}

// Send types text; a return is "\r", Ctrl-C is "\x03".
func (c *Terminal) Send(text string) error {
	_, err := io.WriteString(c.master, text)
	return err
}

// Output returns all that the terminal showed from byte offset on.
func (c *Terminal) Output(offset int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.output[min(offset, len(c.output)):])
}

// Await waits until what is shown from byte offset on matches pattern, and
// returns the match; it is nil if the program ended without. A program that is
// silent for so long is an error.
func (c *Terminal) Await(offset int, pattern *regexp.Regexp, patience time.Duration) (match []string, err error) {
	return c.await(offset, pattern, time.Now().Add(patience))
}

// Status waits for the program's end and returns its exit status, -1 if it was
// killed.
func (c *Terminal) Status() int {
	<-c.ended
	return c.status
}

// Waits says whether no process of the terminal's session runs: some programs throw away
// what is typed between their prompt and their reading.
func (c *Terminal) Waits() bool { return c.sleeps(strconv.Itoa(c.Cmd.Process.Pid)) }

// sleeps says so of a process and those that come of it.
func (c *Terminal) sleeps(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return true // it has ended meanwhile
	}
	// proc(5): behind the name come state, parent, group and session.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) > 3 && fields[3] == strconv.Itoa(c.Cmd.Process.Pid) && strings.Contains("RD", fields[0]) {
		return false
	}
	threads, err := filepath.Glob("/proc/" + pid + "/task/*")
	if err != nil {
		return false
	}
	for _, thread := range threads {
		children, _ := os.ReadFile(thread + "/children") // none of one that has ended
		for _, child := range strings.Fields(string(children)) {
			if !c.sleeps(child) {
				return false
			}
		}
	}
	return true
}

// await waits until what is shown from offset on matches pattern, the program
// ends, or the deadline passes. It returns the match, nil if there is none.
func (c *Terminal) await(offset int, pattern *regexp.Regexp, deadline time.Time) ([]string, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if match := pattern.FindStringSubmatch(c.Output(offset)); match != nil {
			return match, nil
		}
		select {
		case <-c.ended:
			// What was shown last may be the prompt that was waited for.
			return pattern.FindStringSubmatch(c.Output(offset)), nil
		case <-time.After(min(pause, time.Until(deadline))):
		}
		if time.Now().After(deadline) {
			return nil, errDeadline
		}
	}
}
