package invocation

import (
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/deliver"
)

// NotFinished says that an enrollment was written and not confirmed.
type NotFinished struct {
	Kind  account.Kind
	Later string // the command
}

func (n NotFinished) Error() string {
	if n.Kind.IsSent() {
		return "not confirmed, so no codes are sent there"
	}
	return "not confirmed, so the new key does not count"
}

// Hint says how it is confirmed later.
func (n NotFinished) Hint() string {
	switch {
	case n.Kind == account.HOTP:
		return "when the token has it, run " + n.Later
	case n.Kind.IsSent():
		return "when the code has arrived, run " + n.Later
	}
	return "when the app has it, run " + n.Later
}

// NotSent says that a channel does not work.
type NotSent struct {
	Channel deliver.Channel
	Took    time.Duration
	Err     error
}

func (n NotSent) Error() string {
	if n.Took == 0 {
		return fmt.Sprintf("%s failed, so it went another way: %v", n.Channel, n.Err)
	}
	return fmt.Sprintf("not sent by %s, after %s: %v", n.Channel, Seconds(n.Took), n.Err)
}

func (n NotSent) Unwrap() error { return n.Err }

// Seconds shows a length of time that somebody waited.
func Seconds(d time.Duration) string { return fmt.Sprintf("%.1f seconds", d.Seconds()) }

// NotInvited says that a link could not be mailed. It is cancelled.
type NotInvited struct{ Err error }

func (n NotInvited) Error() string {
	return "not invited, as the link could not be mailed: " + n.Err.Error()
}

func (n NotInvited) Unwrap() error { return n.Err }

// Why nobody, or somebody, cannot be invited.
var (
	ErrNoPortal = errors.New("nobody can be invited: there is no [portal] in the configuration")
	ErrNoEmail  = errors.New("no link can be mailed: there is no [email] in the configuration")
	// ErrNoAddress is of somebody without a mail address.
	ErrNoAddress = errors.New("no address to send the link to")
	// ErrEnrolledAlready is of somebody who has a device.
	ErrEnrolledAlready = errors.New("enrolled already")
)
