package authentication

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/session"
	"github.com/otpgate/otpgate/internal/sftpd/sftpdtest"
)

// Whoever may not log in is denied by PAM's no, however right the password is: PAM's
// yes comes sooner, and would tell a stranger that it is root's.
func TestNobodysPasswordIsNeverRight(t *testing.T) {
	for _, name := range []string{"root", "not-there-at-all"} {
		for method, try := range map[string]func(l *Login, front *seqpacket.Conn) error{
			"password": func(l *Login, _ *seqpacket.Conn) error { return l.authenticate(sftpdtest.RightPassword) },
			"keyboard-interactive": func(l *Login, front *seqpacket.Conn) error {
				answerOnce(front, sftpdtest.RightPassword)
				return l.askPAM(&questions{login: l, splits: true})
			},
		} {
			t.Run(name+" by "+method, func(t *testing.T) {
				l, front := testLogin(t, "")
				defer l.End()
				defer front.Close()
				if !l.identify(name) {
					t.Fatal("the name is refused")
				}
				if err := try(l, front); !errors.Is(err, session.ErrPAM) {
					t.Errorf("expected PAM to say no, found %v", err)
				}
			})
		}
	}
}

// A field that ends like a code is tried twice of people who are asked for one. Of others it
// takes as long, so that the time does not tell who is enrolled.
func TestTimeDoesNotTellWhoIsEnrolled(t *testing.T) {
	for text, want := range map[string]bool{
		"wrong": false, "wrong12345": false, "123456": false, "wrong123456": true, "wrong1234-5678": true,
		"wrong0123-4567-89ab-cdef": true, "wrong0123-4567-89ab-cdei": false, sftpdtest.RightPassword: false,
	} {
		for method, try := range map[string]func(l *Login, front *seqpacket.Conn){
			"password":             func(l *Login, _ *seqpacket.Conn) { l.tryPassword(text) },
			"keyboard-interactive": func(l *Login, front *seqpacket.Conn) { answerOnce(front, text); _, _ = l.askPassword() },
		} {
			for policy, tried := range map[string]bool{"": want, "[sftp]\ncode_after = [\"publickey\"]\n": false} {
				l, front := testLogin(t, policy)
				waited := false
				l.shared.Pause = func(time.Duration) { waited = true }
				if !l.identify("root") {
					t.Fatal("the name is refused")
				}
				try(l, front)
				if waited != tried {
					t.Errorf("%s by %s with %q: waited %v", text, method, policy, waited)
				}
				l.End()
				front.Close()
			}
		}
	}
}

// answerOnce has the front answer the next question.
func answerOnce(front *seqpacket.Conn, text string) {
	go func() {
		buffer := make([]byte, messages.MaxSize)
		if _, _, err := front.Receive(buffer); err == nil {
			_ = front.Send(fields.Message(messages.AskAnswer).Bool(true).Text(text).Bytes)
		}
	}()
}

// Who may not log in is told nothing of it; the log has the reason.
func TestLogSaysWhoMayNotLogIn(t *testing.T) {
	for name, want := range map[string]string{
		"root":            "not a user who may log in: uid 0 needs allow_root = true in [sftp]",
		"nobody-has-this": "not a user who may log in: this machine knows no such user",
	} {
		l := &Login{}
		if !l.identify(name) || l.person != nil {
			t.Fatalf("%s: taken for %+v", name, l.person)
		}
		if err := l.known(nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", name, err, want)
		}
		if err := l.known(session.ErrPAM); !errors.Is(err, session.ErrPAM) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, after PAM's no: %v, expected %s", name, err, want)
		}
	}
	l := &Login{}
	l.settings.AllowRoot = true
	if !l.identify("root") || l.person == nil || l.known(nil) != nil {
		t.Errorf("root with allow_root: %+v, %v", l.person, l.unknown)
	}
}
