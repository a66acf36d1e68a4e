package authentication

import (
	"context"
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/sftpdtest"
)

// full is an engine that looks at no password, as one whose server takes no more looks
// from this machine, and asks for a code.
type full struct{ asked chan gate.Request }

func (full) Split(context.Context, gate.Request, gate.Tails) (int, error) {
	return 0, errors.New("too many of them")
}

func (full) EndsLikeCode(gate.Tails) (bool, error) { return true, nil }

func (f full) Login(_ context.Context, request gate.Request, conversation gate.Conversation) gate.Verdict {
	f.asked <- request
	answer, err := conversation.Ask(gate.Prompt)
	if err != nil || answer.Text != "123456" {
		return gate.Verdict{Rule: "no-answer"}
	}
	return gate.Verdict{Decision: gate.Accept, Rule: "totp:phone"}
}

// Passwords are looked at for codes before they are checked, so strangers can use up
// what there is of looks. Who can be asked for the code is in all the same; a client
// that knows one field is not.
func TestPasswordThatIsNotLookedAt(t *testing.T) {
	for name, test := range map[string]struct {
		step     *fields.Writer
		password string
		asked    int
		in       bool
	}{
		"asked":                {fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody), sftpdtest.RightPassword, 1, true},
		"asked, wrong":         {fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody), "wrong", 0, false},
		"asked, with the code": {fields.Message(messages.AskInteractive).Text(sftpdtest.Anybody), sftpdtest.RightPassword + "123456", 0, false},
		"one field":            {fields.Message(messages.AskPassword).Text(sftpdtest.Anybody).Text(sftpdtest.RightPassword), "", 0, false},
	} {
		l, front := testLogin(t, "")
		engine := full{make(chan gate.Request, 1)}
		l.engine = engine
		go answerAll(front, test.step, test.password, "123456")
		serve(l)
		if in := l.Entered() != nil; in != test.in || len(engine.asked) != test.asked {
			t.Errorf("%s: in %v, asked %d times", name, in, len(engine.asked))
		}
		select {
		case request := <-engine.asked:
			if request.AfterSplit || request.CodeBehind {
				t.Errorf("%s: %+v", name, request)
			}
		default:
		}
	}
}

// answerAll has the front do one step, give the answers to what is asked, and hang up.
func answerAll(front *seqpacket.Conn, step *fields.Writer, answers ...string) {
	defer front.Close()
	buffer := make([]byte, messages.MaxSize)
	for next := step; front.Send(next.Bytes) == nil; {
		n, _, err := front.Receive(buffer)
		if err != nil || n == 0 || buffer[0] != messages.AnswerPrompt || len(answers) == 0 {
			return
		}
		next, answers = fields.Message(messages.AskAnswer).Bool(true).Text(answers[0]), answers[1:]
	}
}
