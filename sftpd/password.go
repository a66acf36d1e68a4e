package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
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

// divide finds the code in a field, if this login will be asked for one.
func (v *visit) divide(text string) (field, error) {
	if !v.asksAfter(config.PasswordFirst) {
		return field{text: text}, nil
	}
	request := v.request()
	request.AfterSplit = true
	behind, err := v.engine.Split(context.Background(), request, tail(text))
	return field{text, behind}, err
}

// afterPassword goes on once PAM took the password of a field. oneField says
// that the client may not know questions.
func (v *visit) afterPassword(f field, oneField bool) uint8 {
	request := v.request()
	request.CodeBehind = f.behind > 0
	request.AfterSplit = oneField && v.asksAfter(config.PasswordFirst) || request.CodeBehind
	v.first, v.password = config.PasswordFirst, f.password()
	return v.afterFirst(request, f.code())
}

// tryPassword is the method password: one field.
func (v *visit) tryPassword(password string) uint8 {
	if v.first != "" || len(password) > maxPassword || strings.ContainsRune(password, 0) {
		return talk.Denied
	}
	f, err := v.divide(password)
	if err != nil {
		return talk.Denied
	}
	began := time.Now()
	err = v.authenticate(f.password())
	if err != nil && f.behind > 0 {
		// It may be a password that ends like a code.
		f = field{text: password}
		err = v.authenticate(f.password())
	} else if err != nil {
		v.asTwice(password, began)
	}
	if err != nil {
		v.failed("password", err)
		return talk.Denied
	}
	return v.afterPassword(f, true)
}

// askPassword has PAM ask. Clients that give all they have to every question
// have the code behind the password here too.
func (v *visit) askPassword() (uint8, error) {
	q := questions{visit: v, divides: true}
	err := v.askPAM(&q)
	if errors.Is(err, errPAM) && q.field.behind > 0 && q.broken == nil {
		// It may be a password that ends like a code.
		q = questions{visit: v, before: q.given}
		err = v.askPAM(&q)
	} else if err != nil && q.broken == nil {
		v.asTwice(q.field.text, q.first)
	}
	if q.broken != nil {
		return talk.Denied, q.broken
	}
	if err := v.known(err); err != nil {
		v.failed("password", err)
		v.dropKeeper()
		return talk.Denied, nil
	}
	return v.afterPassword(q.field, false), nil
}

// asTwice waits once more for as long as PAM took since began to refuse a field
// that would have been tried twice were it of somebody who is asked for codes.
func (v *visit) asTwice(text string, began time.Time) {
	if !v.asksAfter(config.PasswordFirst) {
		return
	}
	if like, err := v.engine.EndsLikeCode(tail(text)); err == nil && like {
		v.broker.pause(min(time.Since(began), maxTwice))
	}
}

// maxTwice bounds it, as a client may let further questions of PAM's wait.
const maxTwice = 10 * time.Second

// askPAM begins a transaction. One that has failed before is not gone on with:
// its modules may take what they know of it for true.
func (v *visit) askPAM(q *questions) error {
	v.dropKeeper()
	if err := v.startKeeper(); err != nil {
		return err
	}
	return v.keeper.interactive(q.answer)
}
