package enrollment

import (
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
)

// What an enrollment can end with, beside a WrongCodeError. The caller adds
// what to do.
var (
	ErrAlreadyConfirmed = errors.New("there is a confirmed factor with this id")
	ErrNothingToConfirm = errors.New("no enrollment waits for its first code")
	ErrSeveralToConfirm = errors.New("several enrollments wait for their first code")
	ErrCodeUsed         = errors.New("this code has been used")
)

// BeforeCounterError says that a first code is one of the token's that lie
// before the counter which the enrollment began with.
type BeforeCounterError struct{ Counter int64 }

func (b BeforeCounterError) Error() string {
	return fmt.Sprintf("the code is before the counter %d that the enrollment began with", b.Counter)
}

// WrongCodeError says that a first code was wrong.
type WrongCodeError struct {
	Kind account.Kind
	// Digits is how many the code should have, or characters if it was sent;
	// Malformed that it had not.
	Digits    int
	Malformed bool
	// Off is how far from now the code would have been right: negative is the
	// past. Zero says that it is no code of the last or the next hour.
	Off time.Duration
	// Ahead is how many codes too far a token with a counter is, 0 if it is not.
	Ahead int
}

func (w WrongCodeError) Error() string {
	switch {
	case w.Malformed && w.Kind.IsSent():
		return fmt.Sprintf("expected exactly the %d characters that were sent", w.Digits)
	case w.Malformed:
		return fmt.Sprintf("expected exactly %d digits", w.Digits)
	}
	return "the code is not right"
}
