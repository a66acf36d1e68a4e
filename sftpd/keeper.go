package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// keeper is the process of one person's PAM transaction, see command login.
type keeper struct {
	conn    *seqpacket.Conn
	cmd     *exec.Cmd
	closing sync.Once

	// Of an open session:
	mu    sync.Mutex    // one question at a time
	later chan []byte   // what the keeper says
	over  chan struct{} // closed when the worker, or the keeper, has ended
}

// errPAM is wrapped by what PAM says no with.
var errPAM = errors.New("pam")

// errExpired says that the account is good once its password is changed.
var errExpired = fmt.Errorf("%w: the password has expired", errPAM)

// startKeeper begins a transaction.
func startKeeper(program, service, user, remote string) (*keeper, error) {
	conn, theirs, err := seqpacket.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := &exec.Cmd{Path: program, Args: []string{"otpgate-sftpd-login"}, Dir: "/", Stderr: os.Stderr,
		Env:        []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=1", "GOGC=25"},
		ExtraFiles: []*os.File{theirs}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	k := &keeper{conn: conn, cmd: cmd}
	var w seqpacket.Writer
	if err := k.stage(w.U8(messages.PAMStart).Text(service).Text(user).Text(remote).Bytes, nil); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// converse answers what PAM asks and tells. Only the hidden and shown styles
// have an answer.
type converse func(style uint8, text string) (answer string, err error)

// stage sends what is to be done and returns how it ended.
func (k *keeper) stage(message []byte, conversation converse) error {
	_, err := k.stageFor(message, conversation, 0)
	return err
}

func (k *keeper) stageFor(message []byte, conversation converse, files int) ([]int, error) {
	if err := k.conn.Send(message); err != nil {
		return nil, fmt.Errorf("keeper: %w", err)
	}
	buffer := make([]byte, seqpacket.MaxSize)
	for {
		n, fds, err := k.conn.Receive(buffer)
		if err != nil {
			return nil, fmt.Errorf("keeper: %w", err)
		}
		r := seqpacket.NewReader(buffer[:n])
		switch r.U8() {
		case messages.PAMDone:
			said := r.Text()
			if r.Done() == nil && said == "" && len(fds) == files {
				return fds, nil
			}
			seqpacket.CloseAll(fds)
			if said == "" {
				return nil, fmt.Errorf("keeper: %w", seqpacket.ErrMalformed)
			}
			return nil, fmt.Errorf("%w: %s", errPAM, said)
		case messages.PAMExpired:
			seqpacket.CloseAll(fds)
			return nil, errExpired
		case messages.PAMAsks:
			seqpacket.CloseAll(fds)
			if err := k.ask(r, conversation); err != nil {
				return nil, err
			}
		default:
			seqpacket.CloseAll(fds)
			return nil, fmt.Errorf("keeper: %w", seqpacket.ErrMalformed)
		}
	}
}

func (k *keeper) ask(r *seqpacket.Reader, conversation converse) error {
	style, text := r.U8(), r.Text()
	if err := r.Done(); err != nil {
		return fmt.Errorf("keeper: %w", err)
	}
	answer, err := "", error(nil)
	if conversation != nil {
		answer, err = conversation(style, text)
	}
	if style != messages.AskHidden && style != messages.AskShown {
		return nil
	}
	var w seqpacket.Writer
	return k.conn.Send(w.U8(messages.PAMAnswer).Bool(err == nil && conversation != nil).Text(answer).Bytes)
}

// password authenticates by a password alone.
func (k *keeper) password(password string, tell converse) error {
	var w seqpacket.Writer
	return k.stage(w.U8(messages.PAMPassword).Text(password).Bytes, tell)
}

// interactive authenticates by asking.
func (k *keeper) interactive(conversation converse) error {
	return k.stage([]byte{messages.PAMInteractive}, conversation)
}

// account says whether the account is good.
func (k *keeper) account(tell converse) error {
	var w seqpacket.Writer
	return k.stage(w.U8(messages.PAMAccount).Text("").Bytes, tell)
}

// change has an expired password changed.
func (k *keeper) change(conversation converse) error {
	return k.stage([]byte{messages.PAMChange}, conversation)
}

// again is account for another login into the open session.
func (k *keeper) again(remote string, tell converse) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var w seqpacket.Writer
	if err := k.conn.Send(w.U8(messages.PAMAccount).Text(remote).Bytes); err != nil {
		return fmt.Errorf("keeper: %w", err)
	}
	for {
		select {
		case <-k.over:
			return errors.New("keeper: the session has ended")
		case message := <-k.later:
			done, err := k.heard(message, tell)
			if done {
				return err
			}
		}
	}
}

// heard takes a message of a keeper with an open session.
func (k *keeper) heard(message []byte, tell converse) (done bool, err error) {
	r := seqpacket.NewReader(message)
	switch r.U8() {
	case messages.PAMAsks:
		return false, k.ask(r, tell)
	case messages.PAMExpired:
		return true, errExpired
	case messages.PAMDone:
		said := r.Text()
		if err := r.Done(); err != nil {
			return true, err
		}
		if said != "" {
			return true, fmt.Errorf("%w: %s", errPAM, said)
		}
		return true, nil
	}
	return true, fmt.Errorf("keeper: %w", seqpacket.ErrMalformed)
}

// open begins the session and returns the connection to its worker. When the
// worker has ended, ended is closed.
func (k *keeper) open(program string, spec messages.Spec) (worker *seqpacket.Conn, ended <-chan struct{}, err error) {
	var w seqpacket.Writer
	w.U8(messages.PAMOpen).Text(program)
	spec.Write(&w)
	fds, err := k.stageFor(w.Bytes, nil, 1)
	if err != nil {
		return nil, nil, err
	}
	worker, err = seqpacket.New(fds[0])
	if err != nil {
		return nil, nil, err
	}
	k.later, k.over = make(chan []byte), make(chan struct{})
	go k.listen()
	return worker, k.over, nil
}

// listen passes on what a keeper with an open session says, until it says that
// the worker has ended, or is gone.
func (k *keeper) listen() {
	defer k.close()
	defer close(k.over)
	buffer := make([]byte, 8<<10)
	for {
		n, fds, err := k.conn.Receive(buffer)
		seqpacket.CloseAll(fds)
		if err != nil || buffer[0] == messages.PAMEnded {
			return
		}
		select {
		case k.later <- append([]byte(nil), buffer[:n]...):
		case <-time.After(keeperPatience): // nobody asked
			return
		}
	}
}

// close lets the keeper end. One without a session is given a moment: PAM's
// modules wait after a failure, but must not do so for ever.
func (k *keeper) close() {
	k.closing.Do(func() {
		_ = k.conn.Send([]byte{messages.PAMClose}) // it may be gone
		_ = k.conn.Close()
		go func() {
			late := time.AfterFunc(keeperPatience, func() { _ = k.cmd.Process.Kill() })
			defer late.Stop()
			_ = k.cmd.Wait() // how it ends changes nothing
		}()
	})
}

const keeperPatience = 30 * time.Second
