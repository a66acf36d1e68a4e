// Command login is one person's PAM transaction: the password, the account and
// the session, in a process of its own, because PAM's modules change the
// process they are in. sftpd's broker starts it, as root, and alone speaks
// with it.
//
// The worker is its child, so that limits, audit id and control group that the
// session stage gave hold for it. The session is closed when the worker has
// ended, also if the broker is gone by then.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/msteinert/pam/v2"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// brokerFD is the connection to the broker.
const brokerFD = 3

func main() {
	// What modules change of a thread must be what the worker inherits.
	runtime.LockOSThread()
	debug.SetGCPercent(10)
	conn, err := packet.New(brokerFD)
	if err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-login: it is started by otpgate-sftpd:", err)
		os.Exit(2)
	}
	k := &keeper{conn: conn}
	err = k.serve()
	k.end()
	if err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-login:", err)
		os.Exit(1)
	}
}

// maxMessage bounds what the broker sends; a Spec with many patterns is the
// longest.
const maxMessage = 16 << 10

type keeper struct {
	conn   *packet.Conn
	buffer [maxMessage]byte
	user   string
	pam    *pam.Transaction
	// password answers the one hidden question of a stage that cannot ask.
	password *string
	silent   bool // nobody is asked or told
	cred     bool
	open     bool
	ended    chan struct{} // closed when the worker has; nil without one
}

// serve does what the broker says until it says close or is gone.
func (k *keeper) serve() error {
	for {
		n, fds, err := k.conn.Receive(k.buffer[:])
		packet.CloseAll(fds)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r := packet.NewReader(k.buffer[:n])
		op := r.U8()
		if op == talk.KeeperClose {
			return nil
		}
		if err := k.do(op, r); err != nil {
			return err
		}
	}
}

func (k *keeper) do(op uint8, r *packet.Reader) error {
	switch op {
	case talk.KeeperStart:
		service, user, remote := r.Text(), r.Text(), r.Text()
		if err := r.Done(); err != nil {
			return err
		}
		return k.done(k.start(service, user, remote))
	case talk.KeeperPassword:
		password := r.Text()
		k.password = &password
		return k.done(k.authenticate())
	case talk.KeeperInteractive:
		k.password = nil
		return k.done(k.authenticate())
	case talk.KeeperAccount:
		remote := r.Text()
		if err := r.Done(); err != nil {
			return err
		}
		return k.done(k.account(remote))
	case talk.KeeperOpen:
		program := r.Text()
		spec := talk.ReadSpec(r)
		if err := r.Done(); err != nil {
			return err
		}
		return k.session(program, spec)
	}
	return packet.ErrMalformed
}

// done tells the broker how a stage ended.
func (k *keeper) done(err error, fds ...int) error {
	var w packet.Writer
	w.U8(talk.KeeperDone)
	if err != nil {
		w.Text("failed: " + err.Error())
	} else {
		w.Text("")
	}
	return k.conn.Send(w.Bytes, fds...)
}

func (k *keeper) start(service, user, remote string) error {
	if k.pam != nil {
		return errors.New("a second transaction")
	}
	t, err := pam.StartFunc(service, user, k.converse)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	k.user, k.pam = user, t
	return errors.Join(t.SetItem(pam.Rhost, remote), t.SetItem(pam.Tty, "ssh"))
}

func (k *keeper) authenticate() error {
	if k.pam == nil {
		return errors.New("no transaction")
	}
	if err := k.pam.Authenticate(pam.DisallowNullAuthtok); err != nil {
		return err
	}
	return k.sameUser()
}

// sameUser refuses a transaction that has become somebody else's
// (CVE-2024-9313).
func (k *keeper) sameUser() error {
	user, err := k.pam.GetItem(pam.User)
	if err == nil && user != k.user {
		err = fmt.Errorf("the stack changed the user to %q", user)
	}
	return err
}

// account may be asked again for further logins into an open session.
func (k *keeper) account(remote string) error {
	if k.pam == nil {
		return errors.New("no transaction")
	}
	if remote != "" {
		if err := k.pam.SetItem(pam.Rhost, remote); err != nil {
			return err
		}
	}
	silent := k.silent
	k.silent = false
	defer func() { k.silent = silent }()
	if err := k.pam.AcctMgmt(pam.DisallowNullAuthtok); err != nil {
		return err
	}
	return k.sameUser()
}

// converse is PAM's conversation.
func (k *keeper) converse(style pam.Style, text string) (string, error) {
	kind, found := map[pam.Style]uint8{
		pam.PromptEchoOff: talk.AskHidden, pam.PromptEchoOn: talk.AskShown, pam.TextInfo: talk.TellInfo, pam.ErrorMsg: talk.TellError,
	}[style]
	if !found {
		return "", errors.New("a style that is not known")
	}
	asks := kind == talk.AskHidden || kind == talk.AskShown
	if k.silent {
		if asks {
			return "", errors.New("nobody is there to ask")
		}
		return "", nil
	}
	if asks && k.password != nil {
		answer := *k.password
		if kind != talk.AskHidden {
			return "", errors.New("the client cannot be asked")
		}
		return answer, nil
	}
	var w packet.Writer
	if err := k.conn.Send(w.U8(talk.KeeperAsks).U8(kind).Text(clip(text)).Bytes); err != nil || !asks {
		return "", err
	}
	return k.answer()
}

// clip bounds a module's text.
func clip(text string) string { return text[:min(len(text), 4096)] }

func (k *keeper) answer() (string, error) {
	n, fds, err := k.conn.Receive(k.buffer[:])
	packet.CloseAll(fds)
	if err != nil {
		return "", err
	}
	r := packet.NewReader(k.buffer[:n])
	if r.U8() != talk.KeeperAnswer {
		return "", packet.ErrMalformed
	}
	given, text := r.Bool(), r.Text()
	if err := r.Done(); err != nil {
		return "", err
	}
	if !given {
		return "", errors.New("no answer")
	}
	return text, nil
}

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
	keep, err := ours.Dup()
	if err != nil {
		return nil, -1, err
	}
	cmd := &exec.Cmd{Path: program, Args: []string{"otpgate-sftpd-worker"}, Dir: "/", Env: []string{"GOMAXPROCS=1"}, Stderr: os.Stderr,
		ExtraFiles: []*os.File{theirs}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		unix.Close(keep)
		return nil, -1, err
	}
	return cmd, keep, nil
}

// end closes what was opened.
func (k *keeper) end() {
	if k.ended != nil {
		<-k.ended
	}
	if k.pam == nil {
		return
	}
	k.silent = true
	if k.open {
		_ = k.pam.CloseSession(pam.Silent) // nobody is left to tell
	}
	if k.cred {
		_ = k.pam.SetCred(pam.DeleteCred)
	}
	_ = k.pam.End()
}
