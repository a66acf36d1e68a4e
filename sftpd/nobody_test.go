package main

import (
	"errors"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// Whoever may not log in is denied by PAM's no, however right the password is: PAM's
// yes comes sooner, and would tell a stranger that it is root's.
func TestNobodysPasswordIsNeverRight(t *testing.T) {
	for _, name := range []string{"root", "not-there-at-all"} {
		for method, try := range map[string]func(v *connection, front *seqpacket.Conn) error{
			"password": func(v *connection, _ *seqpacket.Conn) error { return v.authenticate(rightPassword) },
			"keyboard-interactive": func(v *connection, front *seqpacket.Conn) error {
				answerOnce(front, rightPassword)
				return v.askPAM(&questions{visit: v, divides: true})
			},
		} {
			t.Run(name+" by "+method, func(t *testing.T) {
				v, front := testConnection(t, testBroker(t, ""))
				defer v.end()
				defer front.Close()
				if !v.identify(name) {
					t.Fatal("the name is refused")
				}
				if err := try(v, front); !errors.Is(err, session.ErrPAM) {
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
		"wrong0123-4567-89ab-cdef": true, "wrong0123-4567-89ab-cdei": false, rightPassword: false,
	} {
		for method, try := range map[string]func(v *connection, front *seqpacket.Conn){
			"password":             func(v *connection, _ *seqpacket.Conn) { v.tryPassword(text) },
			"keyboard-interactive": func(v *connection, front *seqpacket.Conn) { answerOnce(front, text); _, _ = v.askPassword() },
		} {
			for policy, tried := range map[string]bool{"": want, "[sftp]\ncode_after = [\"publickey\"]\n": false} {
				v, front := testConnection(t, testBroker(t, policy))
				waited := false
				v.broker.pause = func(time.Duration) { waited = true }
				if !v.identify("root") {
					t.Fatal("the name is refused")
				}
				try(v, front)
				if waited != tried {
					t.Errorf("%s by %s with %q: waited %v", text, method, policy, waited)
				}
				v.end()
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
			_ = front.Send(message(messages.AskAnswer).Bool(true).Text(text).Bytes)
		}
	}()
}
