// Command login is one person's PAM transaction: the password, the account and
// the session, in a process of its own, because PAM's modules change the
// process they are in. sftpd's broker starts it, as root, and alone speaks
// with it.
//
// The worker is its child, so that limits, audit id and control group that the
// session stage gave hold for it; it may ask for names that only the C library's
// name services know. The session is closed when the worker has ended, also if
// the broker is gone by then.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/msteinert/pam/v2"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// brokerFD is the connection to the broker.
const brokerFD = 3

func main() {
	// What modules change of a thread must be what the worker inherits.
	runtime.LockOSThread()
	conn, err := seqpacket.TakeOver(brokerFD)
	if err != nil {
		fmt.Fprintln(os.Stderr, "otpgate-sftpd-login: it is started by otpgate-sftpd:", err)
		os.Exit(2)
	}
	t := &transaction{conn: conn, names: -1}
	err = t.serve()
	t.end()
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

type transaction struct {
	conn          seqpacket.Plain
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
	names     seqpacket.Plain
	homes     bool
	answering bool // it has asked
}

// serve does what the broker says until it says close or is gone, or until the
// worker has ended.
func (t *transaction) serve() error {
	for {
		if ended, err := t.wait(t.conn); ended || err != nil {
			return err
		}
		n, fds, err := t.conn.Receive(buffer[:])
		seqpacket.CloseAll(fds)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		r := fields.NewReader(buffer[:n])
		op := r.U8()
		if op == messages.PAMClose {
			return nil
		}
		if err := t.do(op, r); err != nil {
			return err
		}
	}
}

func (t *transaction) do(op uint8, r *fields.Reader) error {
	switch op {
	case messages.PAMStart:
		service, user, remote := r.Text(), r.Text(), r.Text()
		return r.Then(func() error { return t.done(t.start(service, user, remote)) })
	case messages.PAMPassword:
		password := r.Text()
		t.password = &password
		return t.done(t.authenticate())
	case messages.PAMInteractive:
		t.password = nil
		return t.done(t.authenticate())
	case messages.PAMAccount:
		remote := r.Text()
		if err := r.Done(); err != nil {
			return err
		}
		stage := t.account
		if remote != "" {
			stage = func() error { return t.accountAgain(remote) }
		}
		err := stage()
		expired := errors.Is(err, pam.ErrNewAuthtokReqd)
		// It is changed in the transaction that found it so, which is gone for
		// a further login.
		if t.expired = expired && remote == ""; expired {
			return t.conn.Send([]byte{messages.PAMExpired})
		}
		return t.done(err)
	case messages.PAMChange:
		return t.done(t.change())
	case messages.PAMOpen:
		program := r.Text()
		spec := messages.ReadSpec(r)
		return r.Then(func() error { return t.session(program, spec) })
	}
	return fields.ErrMalformed
}

// done tells the broker how a stage ended.
func (t *transaction) done(err error, fds ...int) error {
	said := ""
	if err != nil {
		said = "failed: " + err.Error()
	}
	return t.conn.Send(fields.Message(messages.PAMDone).Text(said).Bytes, fds...)
}

func (t *transaction) start(service, user, remote string) error {
	if t.pam != nil {
		return errors.New("a second transaction")
	}
	handle, err := pam.StartFunc(service, user, t.converse)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	t.service, t.user, t.pam = service, user, handle
	return errors.Join(handle.SetItem(pam.Rhost, remote), handle.SetItem(pam.Tty, "ssh"))
}

func (t *transaction) authenticate() error {
	if t.pam == nil {
		return errors.New("no transaction")
	}
	if err := t.pam.Authenticate(pam.DisallowNullAuthtok); err != nil {
		return err
	}
	return t.sameUser()
}

// sameUser refuses a transaction that has become somebody else's
// (CVE-2024-9313).
func (t *transaction) sameUser() error {
	user, err := t.pam.GetItem(pam.User)
	if err == nil && user != t.user {
		err = fmt.Errorf("the stack changed the user to %q", user)
	}
	return err
}

func (t *transaction) account() error {
	if t.pam == nil {
		return errors.New("no transaction")
	}
	err := t.pam.AcctMgmt(pam.DisallowNullAuthtok)
	if err := t.sameUser(); err != nil {
		return err
	}
	return err
}

// accountAgain is for a further login into the open session, by a transaction
// of its own: libpam's helpers keep what they look up for as long as the handle
// lives (pam_modutil_getpwnam), so the session's would grow with each login.
func (t *transaction) accountAgain(remote string) error {
	if !t.open {
		return errors.New("no session")
	}
	again := transaction{conn: t.conn}
	defer again.end()
	if err := again.start(t.service, t.user, remote); err != nil {
		return err
	}
	return again.account()
}

// change has the person change an expired password. It asks for the old one,
// also of those who did not log in with it.
func (t *transaction) change() error {
	if !t.expired {
		return errors.New("the password has not expired")
	}
	t.expired, t.password = false, nil
	if err := t.pam.ChangeAuthTok(pam.ChangeExpiredAuthtok); err != nil {
		return err
	}
	return t.sameUser()
}

// converse is PAM's conversation.
func (t *transaction) converse(style pam.Style, text string) (string, error) {
	kind, found := map[pam.Style]uint8{
		pam.PromptEchoOff: messages.StyleHidden, pam.PromptEchoOn: messages.StyleShown, pam.TextInfo: messages.StyleInfo, pam.ErrorMsg: messages.StyleError,
	}[style]
	if !found {
		return "", errors.New("a style that is not known")
	}
	asks := kind == messages.StyleHidden || kind == messages.StyleShown
	if t.silent {
		if asks {
			return "", errors.New("nobody is there to ask")
		}
		return "", nil
	}
	if asks && t.password != nil {
		answer := *t.password
		if kind != messages.StyleHidden {
			return "", errors.New("the client cannot be asked")
		}
		return answer, nil
	}
	if err := t.conn.Send(fields.Message(messages.PAMAsks).U8(kind).Text(clip(text)).Bytes); err != nil || !asks {
		return "", err
	}
	return t.answer()
}

// clip bounds a module's text.
func clip(text string) string { return text[:min(len(text), 4096)] }

func (t *transaction) answer() (string, error) {
	n, fds, err := t.conn.Receive(buffer[:])
	seqpacket.CloseAll(fds)
	if err != nil {
		return "", err
	}
	r := fields.NewReader(buffer[:n])
	if r.U8() != messages.PAMAnswer {
		return "", fields.ErrMalformed
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
func (t *transaction) end() {
	for t.worker != 0 {
		if _, err := t.wait(-1); err != nil {
			t.reap()
		}
	}
	if t.pam == nil {
		return
	}
	t.silent = true
	if t.open {
		_ = t.pam.CloseSession(pam.Silent) // nobody is left to tell
	}
	if t.cred {
		_ = t.pam.SetCred(pam.DeleteCred)
	}
	_ = t.pam.End()
}
