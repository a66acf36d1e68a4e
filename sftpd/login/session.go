package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/closeonexec"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// session opens the session and starts the worker in it.
func (t *transaction) session(program string, spec messages.Spec) error {
	t.silent = true
	fds, err := t.begin(program, spec)
	if err != nil {
		return t.done(err)
	}
	defer seqpacket.CloseAll(fds)
	return t.done(nil, fds...)
}

// begin returns what the broker has of the worker, see [messages.WorkerConnection].
func (t *transaction) begin(program string, spec messages.Spec) ([]int, error) {
	if t.pam == nil || t.open || spec.User != t.user {
		return nil, errors.New("no session can be opened now")
	}
	// Before modules may add others (pam_group).
	if err := setGroups(spec.Groups); err != nil {
		return nil, err
	}
	if err := t.pam.SetCred(pam.EstablishCred); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	t.cred = true
	if err := t.pam.OpenSession(0); err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	t.open = true
	return t.startWorker(program, spec)
}

func setGroups(ids []uint32) error {
	groups := make([]int, 0, len(ids))
	for _, id := range ids {
		groups = append(groups, int(id))
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	return nil
}

// startWorker starts the worker, which has nothing of this process but the first two
// standard descriptors, its connection to the broker, and the one that it asks
// names over, which hangs up when it ends. What it says on standard error is the
// broker's to write into the log.
func (t *transaction) startWorker(program string, spec messages.Spec) (fds []int, err error) {
	broker, theirs, err := seqpacket.PlainPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	fds = []int{int(broker)}
	defer func() {
		if err != nil {
			seqpacket.CloseAll(fds)
		}
	}()
	var errs [2]int
	if err := unix.Pipe2(errs[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(errs[1])
	fds = append(fds, errs[0])
	// The broker's end alone: the worker's would have it begin with a poller.
	if err := unix.SetNonblock(errs[0], true); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	names, asking, err := seqpacket.PlainPair()
	if err != nil {
		return nil, err
	}
	defer asking.Close()
	// PAM's modules may have left something open.
	if err := closeonexec.SetAll(); err != nil {
		names.Close()
		return nil, err
	}
	spec.Groups, spec.InheritGroups = nil, true
	var w fields.Writer
	spec.Write(&w)
	if err = broker.Send(w.Bytes); err == nil {
		t.worker, err = syscall.ForkExec(program, []string{"otpgate-sftpd-worker"}, &syscall.ProcAttr{
			Dir: "/", Env: []string{"GOMAXPROCS=1", "GOGC=25"}, Files: []uintptr{0, 1, uintptr(errs[1]), uintptr(theirs), uintptr(asking)},
			Sys: &syscall.SysProcAttr{Setsid: true}})
	}
	if err != nil {
		t.worker = 0
		names.Close()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	t.names, t.homes = names, spec.Root == ""
	return fds, nil
}

// wait waits for a message of the broker, none if that is -1, or for the end of
// the worker, which it tells the broker.
func (t *transaction) wait(broker seqpacket.Plain) (ended bool, err error) {
	// poll(2) passes over -1, and tells of a hang-up that nobody asked for.
	fds := []unix.PollFd{{Fd: int32(broker), Events: unix.POLLIN}, {Fd: int32(t.names)}}
	for {
		if !t.answering {
			fds[1].Events = unix.POLLIN
		}
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return false, fmt.Errorf("wait: %w", err)
		case fds[1].Revents&^unix.POLLIN != 0:
			// One that has hung up and lives on would keep others of the person
			// out.
			_ = unix.Kill(t.worker, unix.SIGKILL)
			t.reap()
			return true, nil
		case fds[1].Revents != 0:
			if err := t.answerNames(); err != nil {
				return false, err
			}
			fds[1].Events = 0
		default:
			return false, nil
		}
	}
}

// answerNames begins to answer the worker, which most never ask. A name service
// that takes its time holds up nothing else.
func (t *transaction) answerNames() error {
	fd, err := unix.FcntlInt(uintptr(t.names), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	worker, err := seqpacket.New(fd)
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	t.answering = true
	names, homes := int(t.names), t.homes
	go func() {
		answerNames(worker, homes)
		_ = unix.Shutdown(names, unix.SHUT_RDWR) // it has ended, or is to
	}()
	return nil
}

// reap waits for the end of the worker.
func (t *transaction) reap() {
	for {
		if _, err := unix.Wait4(t.worker, nil, 0, nil); err != unix.EINTR {
			break
		}
	}
	t.worker = 0
	_ = t.conn.Send(fields.Message(messages.PAMEnded).Bytes) // the broker may be gone
}
