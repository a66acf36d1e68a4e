package authentication

import (
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
