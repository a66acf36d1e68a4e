package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// session opens the session and starts the worker in it.
func (k *keeper) session(program string, spec talk.Spec) error {
	k.silent = true
	broker, err := k.begin(program, spec)
	if err != nil {
		return k.done(err)
	}
	defer broker.Close()
	return k.done(nil, int(broker))
}

// begin returns the broker's end of its connection to the worker.
func (k *keeper) begin(program string, spec talk.Spec) (packet.Plain, error) {
	if k.pam == nil || k.open || spec.User != k.user {
		return -1, errors.New("no session can be opened now")
	}
	// Before modules may add others (pam_group).
	if err := setGroups(spec.Groups); err != nil {
		return -1, err
	}
	if err := k.pam.SetCred(pam.EstablishCred); err != nil {
		return -1, fmt.Errorf("credentials: %w", err)
	}
	k.cred = true
	if err := k.pam.OpenSession(0); err != nil {
		return -1, fmt.Errorf("session: %w", err)
	}
	k.open = true
	return k.startWorker(program, spec)
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

// startWorker starts the worker, which has nothing of this process but the
// standard descriptors, its connection to the broker, and the one that it asks
// names over, which hangs up when it ends.
func (k *keeper) startWorker(program string, spec talk.Spec) (packet.Plain, error) {
	broker, theirs, err := packet.PlainPair()
	if err != nil {
		return -1, err
	}
	defer theirs.Close()
	names, asking, err := packet.PlainPair()
	if err != nil {
		broker.Close()
		return -1, err
	}
	defer asking.Close()
	spec.Groups, spec.InheritGroups = nil, true
	var w packet.Writer
	spec.Write(&w)
	if err = broker.Send(w.Bytes); err == nil {
		k.worker, err = syscall.ForkExec(program, []string{"otpgate-sftpd-worker"}, &syscall.ProcAttr{
			Dir: "/", Env: []string{"GOMAXPROCS=1", "GOGC=25"}, Files: []uintptr{0, 1, 2, uintptr(theirs), uintptr(asking)},
			Sys: &syscall.SysProcAttr{Setsid: true}})
	}
	if err != nil {
		k.worker = 0
		broker.Close()
		names.Close()
		return -1, fmt.Errorf("start %s: %w", program, err)
	}
	k.names, k.homes = names, spec.Root == ""
	return broker, nil
}

// wait waits for a message of the broker, none if that is -1, or for the end of
// the worker, which it tells the broker.
func (k *keeper) wait(broker packet.Plain) (ended bool, err error) {
	// poll(2) passes over -1, and tells of a hang-up that nobody asked for.
	fds := []unix.PollFd{{Fd: int32(broker), Events: unix.POLLIN}, {Fd: int32(k.names)}}
	for {
		if !k.answering {
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
			_ = unix.Kill(k.worker, unix.SIGKILL)
			k.bury()
			return true, nil
		case fds[1].Revents != 0:
			if err := k.answerNames(); err != nil {
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
func (k *keeper) answerNames() error {
	fd, err := unix.FcntlInt(uintptr(k.names), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	worker, err := packet.New(fd)
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	k.answering = true
	names, homes := int(k.names), k.homes
	go func() {
		answerNames(worker, homes)
		_ = unix.Shutdown(names, unix.SHUT_RDWR) // it has ended, or is to
	}()
	return nil
}

// bury waits for the end of the worker.
func (k *keeper) bury() {
	for {
		if _, err := unix.Wait4(k.worker, nil, 0, nil); err != unix.EINTR {
			break
		}
	}
	k.worker = 0
	var w packet.Writer
	_ = k.conn.Send(w.U8(talk.KeeperEnded).Bytes) // the broker may be gone
}
