package main

import (
	"context"
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

// divide finds the code in a field, if this login will be asked for one.
func (c *connection) divide(text string) (field, error) {
	if !c.asksAfter(config.PasswordFirst) {
		return field{text: text}, nil
	}
	request := c.request()
	request.AfterSplit = true
	behind, err := c.engine.Split(context.Background(), request, tail(text))
	return field{text, behind}, err
}

// afterPassword goes on once PAM took the password of a field. oneField says
// that the client may not know questions.
func (c *connection) afterPassword(f field, oneField bool) uint8 {
	request := c.request()
	request.CodeBehind = f.behind > 0
	request.AfterSplit = oneField && c.asksAfter(config.PasswordFirst) || request.CodeBehind
	c.first, c.password = config.PasswordFirst, f.password()
	return c.afterFirst(request, f.code())
}

// tryPassword is the method password: one field.
func (c *connection) tryPassword(password string) uint8 {
	if c.first != "" || len(password) > maxPassword || strings.ContainsRune(password, 0) {
		return messages.Denied
	}
	f, err := c.divide(password)
	if err != nil {
		return messages.Denied
	}
	began := time.Now()
	err = c.authenticate(f.password())
	if err != nil && f.behind > 0 {
		// It may be a password that ends like a code.
		f = field{text: password}
		err = c.authenticate(f.password())
	} else if err != nil {
		c.asTwice(password, began)
	}
	if err != nil {
		c.failed("password", err)
		return messages.Denied
	}
	return c.afterPassword(f, true)
}

// askPassword has PAM ask. Clients that give all they have to every question
// have the code behind the password here too.
func (c *connection) askPassword() (uint8, error) {
	q := questions{visit: c, divides: true}
	err := c.askPAM(&q)
	if errors.Is(err, session.ErrPAM) && q.field.behind > 0 && q.broken == nil {
		// It may be a password that ends like a code.
		q = questions{visit: c, before: q.given}
		err = c.askPAM(&q)
	} else if err != nil && q.broken == nil {
		c.asTwice(q.field.text, q.first)
	}
	if q.broken != nil {
		return messages.Denied, q.broken
	}
	if err := c.known(err); err != nil {
		c.failed("password", err)
		c.dropTransaction()
		return messages.Denied, nil
	}
	return c.afterPassword(q.field, false), nil
}

// asTwice waits once more for as long as PAM took since began to refuse a field
// that would have been tried twice were it of somebody who is asked for codes.
func (c *connection) asTwice(text string, began time.Time) {
	if !c.asksAfter(config.PasswordFirst) {
		return
	}
	if like, err := c.engine.EndsLikeCode(tail(text)); err == nil && like {
		c.broker.pause(min(time.Since(began), maxTwice))
	}
}

// maxTwice bounds it, as a client may let further questions of PAM's wait.
const maxTwice = 10 * time.Second

// askPAM begins a transaction. One that has failed before is not gone on with:
// its modules may take what they know of it for true.
func (c *connection) askPAM(q *questions) error {
	c.dropTransaction()
	if err := c.startTransaction(); err != nil {
		return err
	}
	return c.transaction.Interactive(q.answer)
}
