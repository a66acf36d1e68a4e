package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// session opens the session and starts the worker in it.
func (k *keeper) session(program string, spec talk.Spec) error {
	k.silent = true
	worker, fd, err := k.begin(program, spec)
	if err != nil {
		return k.done(err)
	}
	defer unix.Close(fd)
	k.ended = make(chan struct{})
	go func() {
		_ = worker.Wait() // its end is all that matters
		var w packet.Writer
		_ = k.conn.Send(w.U8(talk.KeeperEnded).Bytes) // the broker may be gone
		close(k.ended)
	}()
	err = k.done(nil, fd)
	// What is left is to wait.
	debug.FreeOSMemory()
	return err
}

func (k *keeper) begin(program string, spec talk.Spec) (*exec.Cmd, int, error) {
	if k.pam == nil || k.ended != nil || spec.User != k.user {
		return nil, -1, errors.New("no session can be opened now")
	}
	if err := setGroups(spec); err != nil {
		return nil, -1, err
	}
	if err := k.pam.SetCred(pam.EstablishCred); err != nil {
		return nil, -1, fmt.Errorf("credentials: %w", err)
	}
	k.cred = true
	if err := k.pam.OpenSession(0); err != nil {
		return nil, -1, fmt.Errorf("session: %w", err)
	}
	k.open = true
	return startWorker(program, spec)
}

// setGroups gives this process the person's groups before modules may add
// others (pam_group).
func setGroups(spec talk.Spec) error {
	account, err := user.LookupId(strconv.FormatUint(uint64(spec.UID), 10))
	if err != nil {
		return err
	}
	// More than one name may have the uid; the groups are the name's.
	account.Username, account.Gid = spec.User, strconv.FormatUint(uint64(spec.GID), 10)
	ids, err := account.GroupIds()
	if err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	groups := make([]int, 0, len(ids))
	for _, id := range ids {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return fmt.Errorf("groups: %w", err)
		}
		groups = append(groups, int(gid))
	}
	return syscall.Setgroups(groups)
}

// startWorker starts the worker and returns the broker's end of its
// connection.
func startWorker(program string, spec talk.Spec) (*exec.Cmd, int, error) {
	ours, theirs, err := packet.Pair()
	if err != nil {
		return nil, -1, err
	}
	defer ours.Close()
	defer theirs.Close()
	spec.InheritGroups = true
	var w packet.Writer
	spec.Write(&w)
	if err := ours.Send(w.Bytes); err != nil {
		return nil, -1, err
	}
	names, asking, err := packet.Pair()
	if err != nil {
		return nil, -1, err
	}
	defer asking.Close()
	keep, err := ours.Dup()
	if err != nil {
		names.Close()
		return nil, -1, err
	}
	cmd := &exec.Cmd{Path: program, Args: []string{"otpgate-sftpd-worker"}, Dir: "/", Env: []string{"GOMAXPROCS=1"}, Stderr: os.Stderr,
		ExtraFiles: []*os.File{theirs, asking}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		unix.Close(keep)
		names.Close()
		return nil, -1, err
	}
	go answerNames(names, spec.Root == "")
	return cmd, keep, nil
}
