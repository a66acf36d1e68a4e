package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// keyring is a process with the person's own rights that reads the person's
// authorized_keys. What it says lets nobody in but that person.
type keyring struct {
	conn *packet.Conn
	cmd  *exec.Cmd
}

// grant is what a line of authorized_keys says of a key.
type grant struct {
	noTouch, verify bool
	principals      []string
}

// keyringPatience bounds how long a home directory may take to answer.
const keyringPatience = 20 * time.Second

// keyringFor starts it with the first key that is offered.
func (v *visit) keyring() (*keyring, error) {
	if v.keys != nil {
		return v.keys, nil
	}
	spec := talk.Spec{User: v.user, UID: v.person.uid, GID: v.person.gid, Groups: v.person.groups, Home: v.person.home,
		Umask: math.MaxUint32, AllowRoot: v.settings.AllowRoot, Keys: true}
	for _, path := range v.settings.AuthorizedKeys {
		spec.KeyFiles = append(spec.KeyFiles, config.Expand(path, v.user, v.person.home))
	}
	conn, theirs, err := packet.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := &exec.Cmd{Path: v.broker.programs.worker, Args: []string{"otpgate-sftpd-worker"}, Dir: "/", Env: []string{"GOMAXPROCS=1"}, Stderr: os.Stderr,
		ExtraFiles: []*os.File{theirs}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	v.keys = &keyring{conn, cmd}
	var w packet.Writer
	spec.Write(&w)
	return v.keys, v.keys.conn.Send(w.Bytes)
}

// close ends it, also if it hangs in a file system.
func (k *keyring) close() {
	_ = k.conn.Close()
	_ = k.cmd.Process.Kill()
	go func() { _ = k.cmd.Wait() }()
}

// look asks whether a key lets the person in, or is an authority that may say
// so.
func (v *visit) look(key []byte, authority bool) (grant, bool) {
	if v.person == nil {
		return grant{}, false
	}
	found, ok, err := v.lookFor(key, authority)
	if err != nil {
		v.broker.log.Write(audit.Record{User: v.user, Service: v.settings.PAMService, Protocol: "sftp", Remote: v.remote.String(), Verdict: "denied", Rule: "authorized_keys", Reason: err.Error()})
	}
	return found, ok
}

func (v *visit) lookFor(key []byte, authority bool) (grant, bool, error) {
	k, err := v.keyring()
	if err != nil {
		return grant{}, false, err
	}
	if err := k.conn.SetDeadline(time.Now().Add(keyringPatience)); err != nil {
		return grant{}, false, err
	}
	var w packet.Writer
	if err := k.conn.Send(w.U8(talk.WorkerKey).Blob(key).Text(v.remote.String()).Bool(authority).Bytes); err != nil {
		return grant{}, false, fmt.Errorf("the person's keys cannot be read: %w", err)
	}
	buffer := make([]byte, packet.MaxSize)
	n, fds, err := k.conn.Receive(buffer)
	packet.CloseAll(fds)
	if err != nil {
		return grant{}, false, fmt.Errorf("the person's keys cannot be read: %w", err)
	}
	r := packet.NewReader(buffer[:n])
	op, ok, g := r.U8(), r.Bool(), grant{r.Bool(), r.Bool(), r.Texts()}
	problem := r.Text()
	if r.Done() != nil || op != talk.WorkerGrant {
		return grant{}, false, packet.ErrMalformed
	}
	if problem != "" {
		err = errors.New(problem)
	}
	return g, ok, err
}
