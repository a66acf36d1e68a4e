package invitation

import (
	"errors"
	"time"
)

// Why a link, or what a browser has of it, is not taken. The page says what to do.
var (
	ErrUnknown   = errors.New("no such link")
	ErrUsed      = errors.New("somebody enrolled by this link")
	ErrExpired   = errors.New("this link has ended")
	ErrCancelled = errors.New("this link was cancelled, or a newer one was made")
	ErrDisabled  = errors.New("the person is disabled")
	ErrRemoved   = errors.New("the person has no secret file any more")
	// ErrOvertaken is of a link that lets a device be replaced without a code, once the
	// person has other devices than those that the admin knew of.
	ErrOvertaken = errors.New("the person's devices are others than when the link was made")
	// ErrOpenedAgain is of a browser that opened the link before another one did.
	ErrOpenedAgain = errors.New("the link was opened again elsewhere")
	// ErrSessionEnded is of a browser that waited for too long, or whose key is gone.
	ErrSessionEnded = errors.New("the key that was shown is good no longer: open the link again")
	// ErrCurrent is of somebody enrolled who gave no right code of a device that counts.
	ErrCurrent = errors.New("a current code is needed, and this is none")
	// ErrCurrentUsed is of one that was right and has been used.
	ErrCurrentUsed = errors.New("the current code has been used")
)

// ErrNoCurrent is of somebody who is invited to a further device and has no code for it.
var ErrNoCurrent = errors.New("enrolled by mail or SMS alone, without a recovery code left: nobody can give the current code that this link needs; " +
	"expected a device that counts, or an invitation with Replace, which needs none")

// errEarlier is of a link that went out although an earlier one could not be ended.
var errEarlier = errors.New("an earlier link could not be ended")

// LockedError says that wrong codes keep the person, or whoever comes from there, out.
type LockedError struct{ Until time.Time }

func (l LockedError) Error() string {
	return "wrong codes: locked until " + l.Until.UTC().Format(time.RFC3339)
}

// NewKeyError says that there were too many wrong codes for a key, and has another one.
type NewKeyError struct{ Setup Setup }

func (NewKeyError) Error() string { return "too many wrong codes: there is a new key" }

// State is what has become of a link. The zero value is of one that is not known.
type State uint8

// The states of a link.
const (
	Unknown State = iota
	Ready
	Used
	Expired
	Cancelled
	Disabled
	Removed
	Overtaken
)

var states = map[State]struct {
	name string
	err  error
}{
	Unknown: {"unknown", ErrUnknown}, Ready: {"ready", nil}, Used: {"used", ErrUsed}, Expired: {"expired", ErrExpired},
	Cancelled: {"cancelled", ErrCancelled}, Disabled: {"disabled", ErrDisabled}, Removed: {"removed", ErrRemoved},
	Overtaken: {"overtaken", ErrOvertaken},
}

func (s State) String() string { return states[s].name }

func (s State) err() error { return states[s].err }

// refused says whether an error is that of an invitation which was looked at and is not
// as it must be.
func refused(err error) bool {
	for _, state := range states {
		if state.err != nil && errors.Is(err, state.err) {
			return true
		}
	}
	return errors.Is(err, ErrOpenedAgain) || errors.Is(err, ErrSessionEnded)
}
