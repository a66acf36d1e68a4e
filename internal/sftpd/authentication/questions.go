package authentication

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// maxQuestions bounds what PAM asks in one stage: a new password may be asked
// for several times, twice each.
const maxQuestions = 20

// questions passes on to the client what PAM asks and tells in one stage.
type questions struct {
	login *Login
	// splits has a code taken off what is typed at the first question.
	splits bool
	// before are answers of a stage that is gone through again.
	before []string
	given  []string
	field  field     // at the first question
	first  time.Time // it was answered
	broken error     // the front has gone
	// unanswered is set if the client gave no answer.
	unanswered bool
}

// errUnanswered is PAM's no to a question that the client did not answer.
var errUnanswered = fmt.Errorf("%w: %w", session.ErrPAM, errGone)

// why is err, or that the client did not answer: then PAM waited for that, and not the client
// for PAM, when the login's time was over.
func (q *questions) why(err error) error {
	if q.unanswered && errors.Is(err, errLate) {
		return errUnanswered
	}
	return err
}

// answer is a converse.
func (q *questions) answer(style uint8, text string) (string, error) {
	if style == messages.StyleInfo || style == messages.StyleError {
		q.login.tell(text)
		return "", nil
	}
	answer, err := q.next(style, text)
	if err != nil {
		return "", err
	}
	q.given = append(q.given, answer)
	if len(q.given) > 1 {
		return q.login.forPAM(answer), nil
	}
	q.field, q.first = field{text: answer}, time.Now()
	if q.splits && style == messages.StyleHidden {
		// What the engine does not look at is taken whole: this client can be asked
		// for the code.
		if split, err := q.login.splitField(answer); err == nil {
			q.field = split
		}
	}
	return q.login.forPAM(q.field.password()), nil
}

// next is what the client answers, or has answered before.
func (q *questions) next(style uint8, text string) (string, error) {
	if len(q.given) < len(q.before) {
		return q.before[len(q.given)], nil
	}
	if len(q.given) >= maxQuestions || q.broken != nil {
		return "", errors.New("no more questions")
	}
	answer, given, err := q.login.askClient(text, style == messages.StyleShown)
	if err != nil {
		q.broken = err
	}
	q.unanswered = !given
	if err != nil || !given || len(answer) > maxPassword || strings.ContainsRune(answer, 0) {
		return "", errGone
	}
	return answer, nil
}

// askClient asks by way of the front. An error means that the front has gone.
func (l *Login) askClient(prompt string, shown bool) (text string, given bool, err error) {
	w := fields.Message(messages.AnswerPrompt).Texts(l.takeMessages()).Bool(shown).Text(printable(prompt))
	if err := l.front.Send(w.Bytes); err != nil {
		return "", false, err
	}
	message, err := l.front.ReceiveMessage(make([]byte, messages.MaxSize))
	if err != nil {
		return "", false, err
	}
	r := fields.NewReader(message)
	op := r.U8()
	given, text = r.Bool(), r.Text()
	if r.Done() != nil || op != messages.AskAnswer {
		return "", false, fields.ErrMalformed
	}
	return text, given, nil
}
