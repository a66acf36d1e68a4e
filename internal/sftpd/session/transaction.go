// Package session has the processes of people who log in: the login process
// with the PAM transaction, and the worker that uses a person's files.
//
// The entry points are [Start], which begins a transaction, and [Workers], which
// opens its session with a worker in it. It promises that of one transaction
// there is one session, that it ends with its worker, and that a worker is
// shared by nobody whose [SpecOf] differs.
package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/stderrlog"
)

// Transaction is the process of one person's PAM transaction, see command login.
type Transaction struct {
	conn    *seqpacket.Conn
	cmd     *exec.Cmd
	closing sync.Once
	// busySince is since when PAM does something, or waits for something, other than an
	// answer; nil while it does not.
	busySince atomic.Pointer[time.Time]

	// Of an open session:
	mu      sync.Mutex    // one question at a time
	replies chan []byte   // what the process says
	ended   chan struct{} // closed when the worker, or the process, has ended
	errors  *os.File      // what the worker says on standard error
}

// ErrPAM is wrapped by what PAM says no with, unlike errors of the process.
var ErrPAM = errors.New("pam")

// ErrExpired says that the account is good once its password is changed.
var ErrExpired = fmt.Errorf("%w: the password has expired", ErrPAM)

// Start begins a transaction.
func Start(program, service, user, remote string) (*Transaction, error) {
	conn, cmd, err := StartProcess(os.Stderr, program, "otpgate-sftpd-login", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1", "GOGC=25")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	t := &Transaction{conn: conn, cmd: cmd}
	if err := t.stage(fields.Message(messages.PAMStart).Text(service).Text(user).Text(remote).Bytes, nil); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// StartProcess starts a process of the server, with a connection to it and
// nothing else of this one but where its errors go.
func StartProcess(stderr io.Writer, program, name string, env ...string) (*seqpacket.Conn, *exec.Cmd, error) {
	conn, theirs, err := seqpacket.Pair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	cmd := &exec.Cmd{Path: program, Args: []string{name}, Dir: "/", Env: env, Stderr: stderr, WaitDelay: time.Second,
		ExtraFiles: []*os.File{theirs}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, cmd, nil
}

// Converse answers what PAM asks and tells. Only the hidden and shown styles
// have an answer.
type Converse func(style uint8, text string) (answer string, err error)

// stage sends what is to be done and returns how it ended.
func (t *Transaction) stage(message []byte, conversation Converse) error {
	_, err := t.stageFor(message, conversation, 0)
	return err
}

func (t *Transaction) stageFor(message []byte, conversation Converse, files int) ([]int, error) {
	t.setBusy()
	defer t.busySince.Store(nil)
	if err := t.conn.Send(message); err != nil {
		return nil, fmt.Errorf("login process: %w", err)
	}
	buffer := make([]byte, seqpacket.MaxSize)
	for {
		n, fds, err := t.conn.Receive(buffer)
		if err != nil {
			return nil, fmt.Errorf("login process: %w", err)
		}
		done, err := t.reply(buffer[:n], conversation)
		if done && err == nil && len(fds) == files {
			return fds, nil
		}
		seqpacket.CloseAll(fds)
		if done && err == nil {
			err = fmt.Errorf("login process: %w", fields.ErrMalformed)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (t *Transaction) ask(r *fields.Reader, conversation Converse) error {
	style, text := r.U8(), r.Text()
	if err := r.Done(); err != nil {
		return fmt.Errorf("login process: %w", err)
	}
	answer, err := "", error(nil)
	if conversation != nil {
		t.busySince.Store(nil)
		answer, err = conversation(style, text)
		t.setBusy()
	}
	if style != messages.StyleHidden && style != messages.StyleShown {
		return nil
	}
	return t.conn.Send(fields.Message(messages.PAMAnswer).Bool(err == nil && conversation != nil).Text(answer).Bytes)
}

func (t *Transaction) setBusy() {
	now := time.Now()
	t.busySince.Store(&now)
}

// Busy is how long by now a stage has waited for PAM, 0 if it waits for somebody's answer
// or there is none.
func (t *Transaction) Busy(now time.Time) time.Duration {
	since := t.busySince.Load()
	if since == nil {
		return 0
	}
	return now.Sub(*since)
}

// Password authenticates by a password alone.
func (t *Transaction) Password(password string, tell Converse) error {
	return t.stage(fields.Message(messages.PAMPassword).Text(password).Bytes, tell)
}

// Interactive authenticates by asking.
func (t *Transaction) Interactive(conversation Converse) error {
	return t.stage([]byte{messages.PAMInteractive}, conversation)
}

// Account says whether the account is good.
func (t *Transaction) Account(tell Converse) error {
	return t.stage(fields.Message(messages.PAMAccount).Text("").Bytes, tell)
}

// ChangePassword has an expired password changed.
func (t *Transaction) ChangePassword(conversation Converse) error {
	return t.stage([]byte{messages.PAMChange}, conversation)
}

// accountAgain is Account for another login into the open session.
func (t *Transaction) accountAgain(remote string, tell Converse) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.conn.Send(fields.Message(messages.PAMAccount).Text(remote).Bytes); err != nil {
		return fmt.Errorf("login process: %w", err)
	}
	for {
		select {
		case <-t.ended:
			return errors.New("login process: the session has ended")
		case message := <-t.replies:
			done, err := t.reply(message, tell)
			if done {
				return err
			}
		}
	}
}

// reply takes a message of the process, which is done with a stage or asks.
func (t *Transaction) reply(message []byte, conversation Converse) (done bool, err error) {
	r := fields.NewReader(message)
	switch r.U8() {
	case messages.PAMAsks:
		return false, t.ask(r, conversation)
	case messages.PAMExpired:
		return true, ErrExpired
	case messages.PAMDone:
		said := r.Text()
		if said != "" {
			return true, fmt.Errorf("%w: %s", ErrPAM, said)
		}
		if r.Done() == nil {
			return true, nil
		}
	}
	return true, fmt.Errorf("login process: %w", fields.ErrMalformed)
}

// open begins the session and returns the connection to its worker. When the
// worker has ended, ended is closed.
func (t *Transaction) open(program string, spec messages.Spec, limit *stderrlog.Limit) (worker *seqpacket.Conn, ended <-chan struct{}, err error) {
	w := fields.Message(messages.PAMOpen).Text(program)
	spec.Write(w)
	fds, err := t.stageFor(w.Bytes, nil, messages.WorkerDescriptors)
	if err != nil {
		return nil, nil, err
	}
	worker, err = seqpacket.New(fds[messages.WorkerConnection])
	if err != nil {
		_ = unix.Close(fds[messages.WorkerErrors])
		return nil, nil, err
	}
	t.errors = os.NewFile(uintptr(fds[messages.WorkerErrors]), "the worker's standard error")
	go stderrlog.New(os.Stderr, fmt.Sprintf("the worker of %q", spec.User), time.Now, limit).Drain(t.errors)
	t.replies, t.ended = make(chan []byte), make(chan struct{})
	go t.listen()
	return worker, t.ended, nil
}

// lastWords is how long is read what an ended worker has said.
const lastWords = time.Second

// hangUp ends the reading of what the worker says: it may have been taken over, and have
// left a process that would hold the descriptor for as long as that likes.
func (t *Transaction) hangUp() {
	_ = t.errors.SetReadDeadline(time.Now().Add(lastWords)) // nothing may be left to read
}

// listen passes on what a process with an open session says, until it says that
// the worker has ended, or is gone.
func (t *Transaction) listen() {
	defer t.Close()
	defer t.hangUp()
	defer close(t.ended)
	buffer := make([]byte, 8<<10)
	for {
		message, err := t.conn.ReceiveMessage(buffer)
		if err != nil || message[0] == messages.PAMEnded {
			return
		}
		select {
		case t.replies <- bytes.Clone(message):
		case <-time.After(endTimeout): // nobody asked
			return
		}
	}
}

// Close lets the process end. One without a session is given a moment: PAM's
// modules wait after a failure, but must not do so for ever.
func (t *Transaction) Close() {
	t.closing.Do(func() {
		_ = t.conn.Send([]byte{messages.PAMClose}) // it may be gone
		_ = t.conn.Close()
		go func() {
			late := time.AfterFunc(endTimeout, func() { _ = t.cmd.Process.Kill() })
			defer late.Stop()
			_ = t.cmd.Wait() // how it ends changes nothing
		}()
	})
}

const endTimeout = 30 * time.Second
