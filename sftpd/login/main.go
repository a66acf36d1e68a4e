// Command login is one person's PAM transaction: the password, the account and
// the session, in a process of its own, because PAM's modules change the
// process they are in. sftpd's broker starts it, as root, and alone speaks
// with it.
//
// The worker is its child, so that limits, audit id and control group that the
// session stage gave hold for it; it may ask for names that only the C library's
// name services know. The session is closed when the worker has
// ended, also if the broker is gone by then.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/msteinert/pam/v2"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// brokerFD is the connection to the broker.
const brokerFD = 3

func main() {
	// What modules change of a thread must be what the worker inherits.
	runtime.LockOSThread()
	conn, err := packet.TakeOver(brokerFD)
	if err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-login: it is started by otpgate-sftpd:", err)
		os.Exit(2)
	}
	k := &keeper{conn: conn, names: -1}
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

// buffer takes messages; what is not used of it takes no memory.
var buffer [maxMessage]byte

type keeper struct {
	conn          packet.Plain
	service, user string
	pam           *pam.Transaction
	// password answers the one hidden question of a stage that cannot ask.
	password *string
	silent   bool // nobody is asked or told
	expired  bool // the password, as the account stage said
	cred     bool
	open     bool
	worker   int // its process id, once it runs and until it has ended
	// names is the end of the connection that it asks names over, -1 without
	// a worker; homes is what it may know of them.
	names     packet.Plain
	homes     bool
	answering bool // it has asked
}

// serve does what the broker says until it says close or is gone, or until the
// worker has ended.
func (k *keeper) serve() error {
	for {
		if ended, err := k.wait(k.conn); ended || err != nil {
			return err
		}
		n, fds, err := k.conn.Receive(buffer[:])
		packet.CloseAll(fds)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r := packet.NewReader(buffer[:n])
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
		stage := k.account
		if remote != "" {
			stage = func() error { return k.accountAgain(remote) }
		}
		err := stage()
		expired := errors.Is(err, pam.ErrNewAuthtokReqd)
		// It is changed in the transaction that found it so, which is gone for
		// a further login.
		if k.expired = expired && remote == ""; expired {
			return k.conn.Send([]byte{talk.KeeperExpired})
		}
		return k.done(err)
	case talk.KeeperChange:
		return k.done(k.change())
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
	k.service, k.user, k.pam = service, user, t
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

func (k *keeper) account() error {
	if k.pam == nil {
		return errors.New("no transaction")
	}
	err := k.pam.AcctMgmt(pam.DisallowNullAuthtok)
	if err := k.sameUser(); err != nil {
		return err
	}
	return err
}

// accountAgain is for a further login into the open session, by a transaction
// of its own: libpam's helpers keep what they look up for as long as the handle
// lives (pam_modutil_getpwnam), so the session's would grow with each login.
func (k *keeper) accountAgain(remote string) error {
	if !k.open {
		return errors.New("no session")
	}
	again := keeper{conn: k.conn}
	defer again.end()
	if err := again.start(k.service, k.user, remote); err != nil {
		return err
	}
	return again.account()
}

// change has the person change an expired password. It asks for the old one,
// also of those who did not log in with it.
func (k *keeper) change() error {
	if !k.expired {
		return errors.New("the password has not expired")
	}
	k.expired, k.password = false, nil
	if err := k.pam.ChangeAuthTok(pam.ChangeExpiredAuthtok); err != nil {
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
	n, fds, err := k.conn.Receive(buffer[:])
	packet.CloseAll(fds)
	if err != nil {
		return "", err
	}
	r := packet.NewReader(buffer[:n])
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

// end closes what was opened.
func (k *keeper) end() {
	for k.worker != 0 {
		if _, err := k.wait(-1); err != nil {
			k.bury()
		}
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
