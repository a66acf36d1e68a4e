package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
)

// hint says what to do about an error, "" if the error says so itself.
func (a *app) hint(err error) string {
	var wrong gate.WrongCodeError
	var unfinished notFinished
	var lost notShown
	var unsent notSent
	switch {
	case a.needed(err) != "":
		return a.needed(err)
	case errors.As(err, &unsent):
		return fmt.Sprintf("look at [%s] in %s: where it sends to, who it says it is, and the certificates it trusts", unsent.channel, a.configName())
	case errors.Is(err, gate.ErrNoSuchFactor):
		return "see which there are with " + a.self() + " status"
	case errors.Is(err, gate.ErrWaiting):
		return "--replace makes a new one, and the secret of before worthless"
	case errors.Is(err, errUnknownGroup):
		return "check the name with getent group"
	case errors.As(err, &lost) && lost.again != "":
		return "the change was made, but what was to be shown is lost: run " + lost.again
	case errors.As(err, &unfinished):
		return unfinished.hint()
	case errors.As(err, &wrong):
		return a.wrongHint(wrong)
	case errors.Is(err, gate.ErrNoAddress):
		return "give --email ADDRESS or --phone NUMBER; " + a.self() + " set USER takes them too"
	case errors.Is(err, gate.ErrSeveralToResync):
		return "say which with --id"
	case errors.Is(err, gate.ErrNothingToResync):
		return "see the devices with " + a.self() + " status"
	case errors.Is(err, factor.ErrNowhere):
		return "give two codes in the order in which the device shows them, and none between them left out"
	case errors.Is(err, factor.ErrSeveral):
		return "take the next two"
	case errors.Is(err, factor.ErrOld):
		return "its clock or counter has gone back; codes count again once it gets to where it was. Set its clock right, or enroll it anew: " + a.self() + " enroll USER --replace"
	case errors.Is(err, gate.ErrAlreadyConfirmed):
		return "give a second device another id, such as --id tablet; or let the new one take the old one's place once it is confirmed, with --replace"
	case errors.Is(err, gate.ErrNothingToConfirm):
		return "begin with " + a.self() + " enroll"
	case errors.Is(err, gate.ErrSeveralToConfirm):
		return "say which with --id"
	case errors.Is(err, gate.ErrCodeUsed):
		return "wait until the app shows the next one"
	case errors.Is(err, gate.ErrNotEnrolled):
		return "recovery codes are for people who are enrolled and enabled: see " + a.self() + " status"
	case errors.Is(err, errUnknownUser):
		return "check the name with getent passwd; --no-user-check enrolls somebody who is still to come"
	case errors.Is(err, account.ErrNotFound):
		return "see who has one with " + a.self() + " list"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return "run it as root"
	}
	return ""
}

// wrongHint says what may be the matter with a first code.
func (a *app) wrongHint(wrong gate.WrongCodeError) string {
	switch {
	case wrong.Kind.IsSent():
		return "take the code of the newest message, exactly as it is, before it ends; enroll again to have another sent"
	case wrong.Malformed:
		return "type the digits only, without a space between them"
	case wrong.Ahead > 0:
		return fmt.Sprintf("if the token shows this code now, it is %s: run %s resync with the next two, then confirm with the one after", factor.Codes(wrong.Ahead), a.self())
	case wrong.Kind == account.HOTP:
		return "take the code that the token shows now; if it has been used before, enroll it with --counter"
	}
	return a.clockHint(wrong)
}

// clockHint says how far the clocks are apart, if the code tells. This is what
// a wrong code comes from most often.
func (a *app) clockHint(wrong gate.WrongCodeError) string {
	if wrong.Off == 0 {
		return fmt.Sprintf("take the code that is shown now for the newest key; this machine's clock says %s",
			a.Now().UTC().Format("15:04:05 MST"))
	}
	apart, side := wrong.Off, "ahead of"
	if apart < 0 {
		apart, side = -apart, "behind"
	}
	return fmt.Sprintf("if the phone shows this code now, its clock is about %s %s this machine's, which says %s and is %s; set right the one that is off (the phone: automatic time; here: timedatectl)",
		span(apart), side, a.Now().UTC().Format("15:04:05 MST"), a.clockState())
}

func (a *app) clockState() string {
	if a.Synchronised() {
		return "kept right by a time service"
	}
	return "not kept right by a time service"
}

// span shows a length of time in seconds, or in minutes if it is long.
func span(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	}
	return fmt.Sprintf("%d minutes", int(d.Round(time.Minute).Minutes()))
}

// self is how the command is called again with the same configuration.
func (a *app) self() string {
	if a.config == "" {
		return "otpctl"
	}
	return "otpctl --config " + a.config
}
