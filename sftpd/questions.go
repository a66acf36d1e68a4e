package main

import (
	"errors"
	"strings"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// maxQuestions bounds what PAM asks in one stage: a new password may be asked
// for several times, twice each.
const maxQuestions = 20

// questions passes on to the client what PAM asks and tells in one stage.
type questions struct {
	visit  *visit
	asked  int
	last   string // answer
	broken error  // the front has gone
}

// answer is a converse.
func (q *questions) answer(style uint8, text string) (string, error) {
	if style == talk.TellInfo || style == talk.TellError {
		q.visit.tell(text)
		return "", nil
	}
	if q.asked++; q.asked > maxQuestions || q.broken != nil {
		return "", errors.New("no more questions")
	}
	answer, given, err := q.visit.askClient(text, style == talk.AskShown)
	if err != nil {
		q.broken = err
	}
	if err != nil || !given || len(answer) > maxPassword || strings.ContainsRune(answer, 0) {
		return "", errGone
	}
	q.last = answer
	return answer, nil
}

// askClient asks by way of the front. An error means that the front has gone.
func (v *visit) askClient(prompt string, shown bool) (text string, given bool, err error) {
	var w packet.Writer
	w.U8(talk.AnswerPrompt).Texts(v.takeTold()).Bool(shown).Text(printable(prompt))
	if err := v.line.Send(w.Bytes); err != nil {
		return "", false, err
	}
	message, err := v.ask(make([]byte, talk.MaxLine))
	if err != nil {
		return "", false, err
	}
	r := packet.NewReader(message)
	op := r.U8()
	given, text = r.Bool(), r.Text()
	if r.Done() != nil || op != talk.AskAnswer {
		return "", false, packet.ErrMalformed
	}
	return text, given, nil
}
