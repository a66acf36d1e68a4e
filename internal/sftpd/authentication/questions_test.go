package authentication

import (
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// A module that asks for ever is not answered for ever, and a front that has
// gone is noticed.
func TestQuestionsAreBounded(t *testing.T) {
	l, front := testLogin(t, "")
	defer l.End()
	l.person = &session.Person{}
	go func() {
		buffer := make([]byte, messages.MaxSize)
		for range maxQuestions {
			if _, _, err := front.Receive(buffer); err != nil {
				break
			}
			if front.Send(fields.Message(messages.AskAnswer).Bool(true).Text("x").Bytes) != nil {
				break
			}
		}
		front.Close()
	}()
	q := questions{login: l}
	for range maxQuestions {
		if answer, err := q.answer(messages.StyleHidden, "New password:"); err != nil || answer != "x" {
			t.Fatalf("%q, %v", answer, err)
		}
	}
	if _, err := q.answer(messages.StyleHidden, "New password:"); err == nil || q.broken != nil {
		t.Errorf("answered more than %d questions", maxQuestions)
	}
	gone := questions{login: l}
	if _, err := gone.answer(messages.StyleHidden, "New password:"); err == nil || gone.broken == nil {
		t.Errorf("expected that the front is gone, found %v, %v", err, gone.broken)
	}
}

// Of a client that has not answered when the login's time is over PAM is not said to have
// been waited for, whichever end of the login is noticed first.
func TestUnansweredIsNotForPAMToAnswer(t *testing.T) {
	l, front := testLogin(t, "")
	defer l.End()
	defer front.Close()
	if !l.identify("root") {
		t.Fatal("the name is refused")
	}
	go func() {
		if _, _, err := front.Receive(make([]byte, messages.MaxSize)); err == nil {
			l.Abandon()
			_ = front.Send(fields.Message(messages.AskAnswer).Bool(false).Text("").Bytes)
		}
	}()
	q := questions{login: l}
	err := l.inTime(l.askPAM(&q))
	if !errors.Is(err, errLate) {
		t.Fatalf("expected a login whose time is over, found %v", err)
	}
	if why := q.why(err); !errors.Is(why, errUnanswered) || !errors.Is(why, session.ErrPAM) || errors.Is(why, errLate) {
		t.Errorf("expected that the client did not answer, found %v", why)
	}
	answered := questions{login: l}
	if why := answered.why(err); !errors.Is(why, errLate) {
		t.Errorf("expected that PAM was waited for, found %v", why)
	}
}
