package main

import (
	"fmt"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
)

// expire has the client go on with keyboard-interactive, as a password can be
// changed by questions alone. Both factors were right by now.
func (c *connection) expire() uint8 {
	c.expired = true
	return messages.Partial
}

// changePassword has PAM ask for a new password, and lets the person in. Who
// fails begins anew, with another code: the old password is not to be guessed
// here.
func (c *connection) changePassword() (uint8, error) {
	q := questions{visit: c}
	err := c.transaction.ChangePassword(q.answer)
	if q.broken != nil {
		return messages.Denied, q.broken
	}
	c.expired, c.changed = false, true
	if err != nil {
		c.failed("password-change", err)
		return messages.Ended, nil
	}
	c.remark("changed", "password-change", "the password had expired")
	// The account stage is asked again: what stands behind the module that
	// found the password expired may not have been asked.
	return c.enter(), nil
}

// noteUnchanged says why somebody who had both factors is not in.
func (c *connection) noteUnchanged() {
	if c.expired && !c.in {
		c.failed("account", fmt.Errorf("%w and was not changed: the client must know the method keyboard-interactive, or change it elsewhere", session.ErrExpired))
	}
}
