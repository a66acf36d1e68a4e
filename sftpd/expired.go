package main

import (
	"fmt"

	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// expire has the client go on with keyboard-interactive, as a password can be
// changed by questions alone. Both factors were right by now.
func (v *visit) expire() uint8 {
	v.expired = true
	return talk.Partial
}

// changePassword has PAM ask for a new password, and lets the person in. Who
// fails begins anew, with another code: the old password is not to be guessed
// here.
func (v *visit) changePassword() (uint8, error) {
	q := questions{visit: v}
	err := v.keeper.change(q.answer)
	if q.broken != nil {
		return talk.Denied, q.broken
	}
	v.expired, v.changed = false, true
	if err != nil {
		v.failed("password-change", err)
		return talk.Over, nil
	}
	v.remark("changed", "password-change", "the password had expired")
	// The account stage is asked again: what stands behind the module that
	// found the password expired may not have been asked.
	return v.enter(), nil
}

// noteUnchanged says why somebody who had both factors is not in.
func (v *visit) noteUnchanged() {
	if v.expired && !v.in {
		v.failed("account", fmt.Errorf("%w and was not changed: the client must know the method keyboard-interactive, or change it elsewhere", errExpired))
	}
}
