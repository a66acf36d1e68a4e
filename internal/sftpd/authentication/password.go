package authentication

import (
	"errors"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// maxPassword is PAM_MAX_RESP_SIZE without its end.
const maxPassword = 511

// field is what was typed where a password was asked for: it may have a code
// behind it, which is looked at once the password was right.
type field struct {
	text   string
	behind int // length of the code, 0 for none
}

func (f field) password() string { return f.text[:len(f.text)-f.behind] }

func (f field) code() string { return f.text[len(f.text)-f.behind:] }

// splitField finds the code in a field, if this login will be asked for one.
func (l *Login) splitField(text string) (field, error) {
	if !l.asksAfter(config.PasswordFirst) {
		return field{text: text}, nil
	}
	request := l.request()
	request.AfterSplit = true
	ctx, cancel := l.context()
	defer cancel()
	behind, err := l.engine.Split(ctx, request, tail(text))
	return field{text, behind}, err
}

// afterPassword goes on once PAM took the password of a field. oneField says
// that the client may not know questions.
func (l *Login) afterPassword(f field, oneField bool) uint8 {
	request := l.request()
	request.CodeBehind = f.behind > 0
	request.AfterSplit = oneField && l.asksAfter(config.PasswordFirst) || request.CodeBehind
	return l.afterFirst(factor{kind: config.PasswordFirst, password: f.password()}, request, f.code())
}

// tryPassword is the method password: one field.
func (l *Login) tryPassword(password string) uint8 {
	if !l.beforeFirst() || len(password) > maxPassword || strings.ContainsRune(password, 0) {
		return messages.Denied
	}
	f, err := l.splitField(password)
	if err != nil {
		return messages.Denied
	}
	began := time.Now()
	err = l.authenticate(f.password())
	if err != nil && f.behind > 0 {
		// It may be a password that ends like a code.
		f = field{text: password}
		err = l.authenticate(f.password())
	} else if err != nil {
		l.delayAsTwice(password, began)
	}
	if err != nil {
		l.failed("password", err)
		return messages.Denied
	}
	return l.afterPassword(f, true)
}

// askPassword has PAM ask. Clients that give all they have to every question
// have the code behind the password here too.
func (l *Login) askPassword() (uint8, error) {
	q := questions{login: l, splits: true}
	err := l.askPAM(&q)
	if errors.Is(err, session.ErrPAM) && q.field.behind > 0 && q.broken == nil {
		// It may be a password that ends like a code.
		q = questions{login: l, before: q.given}
		err = l.askPAM(&q)
	} else if err != nil && q.broken == nil {
		l.delayAsTwice(q.field.text, q.first)
	}
	if q.broken != nil {
		return messages.Denied, q.broken
	}
	if err := l.known(q.why(l.inTime(err))); err != nil {
		l.failed("password", err)
		l.dropTransaction()
		return messages.Denied, nil
	}
	return l.afterPassword(q.field, false), nil
}

// delayAsTwice waits once more for as long as PAM took since began to refuse a field
// that would have been tried twice were it of somebody who is asked for codes.
func (l *Login) delayAsTwice(text string, began time.Time) {
	if !l.asksAfter(config.PasswordFirst) {
		return
	}
	if like, err := l.engine.EndsLikeCode(tail(text)); err == nil && like {
		l.shared.Pause(min(time.Since(began), maxTwice))
	}
}

// maxTwice bounds it, as a client may let further questions of PAM's wait.
const maxTwice = 10 * time.Second

// askPAM begins a transaction. One that has failed before is not gone on with:
// its modules may take what they know of it for true.
func (l *Login) askPAM(q *questions) error {
	l.dropTransaction()
	if err := l.startTransaction(); err != nil {
		return err
	}
	return l.transaction.Interactive(q.answer)
}
