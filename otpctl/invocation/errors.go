package invocation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/migrate"
	"github.com/otpgate/otpgate/internal/tokenfile"
)

// Hint says what to do about an error, "" if the error says so itself.
func (a *App) Hint(err error) string {
	var wrong enrollment.WrongCodeError
	var unfinished NotFinished
	var lost NotShown
	var unsent NotSent
	var before enrollment.BeforeCounterError
	var nothing admin.NothingToReplaceError
	var ahead admin.AheadError
	switch {
	case a.needed(err) != "":
		return a.needed(err)
	case a.command == "rename" && a.renameHint(err) != "":
		return a.renameHint(err)
	case errors.Is(err, account.ErrOfAnother):
		return "a file that is moved by hand brings used codes back and loses the recovery codes, so logins refuse it"
	case errors.As(err, &unsent):
		return a.unsentHint(unsent.Channel)
	case errors.As(err, new(NotInvited)):
		return a.unsentHint(deliver.Email) + "; then invite again, or with --print"
	case errors.As(err, &nothing):
		return a.replaceHint(nothing)
	case errors.As(err, &lost) && lost.Again != "":
		return "the change was made, but what was to be shown is lost: run " + lost.Again
	case errors.As(err, &unfinished):
		return unfinished.Hint()
	case errors.As(err, &before):
		return "take the code that the token shows now; if it shows this one, enroll it again with a smaller --counter"
	case errors.As(err, &ahead):
		return "with the right time its codes are right, without a resync. --ahead follows it all the same; if its clock is set right later, its codes are refused for as long as it was ahead"
	case errors.As(err, &wrong):
		return a.wrongHint(wrong)
	case errors.Is(err, admin.ErrNoAddress), errors.Is(err, ErrNoAddress):
		return a.addressHint()
	case errors.Is(err, enrollment.ErrAlreadyConfirmed) && a.Csv:
		return "give a second device another name in the column id; or let the new one take the old one's place once it is confirmed, with --replace; " + everyLine
	case errors.Is(err, admin.ErrWaiting) && a.Csv:
		return "--replace makes a new one, and the secret of before worthless; " + everyLine
	case errors.Is(err, ErrUnknownUser):
		return a.unknownHint()
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return "run it as root"
	}
	for _, known := range hints {
		if errors.Is(err, known.err) {
			return strings.ReplaceAll(known.hint, "otpctl ", a.Self()+" ")
		}
	}
	return ""
}

// hints are those that say the same each time.
var hints = []struct {
	err  error
	hint string
}{
	{admin.ErrNoSuchFactor, "see which there are with otpctl status"},
	{admin.ErrWaiting, "--replace makes a new one, and the secret of before worthless"},
	{admin.ErrEnrolled, "--replace takes the place of devices with the same id, and leaves the others; who is disabled has to be enabled first"},
	{migrate.ErrPIN, "--without-pins takes such lines and drops the PINs"},
	{tokenfile.ErrTaken, "otpctl remove USER takes a device from whoever had it; then import it, and let otpctl resync USER CODE CODE find where it is"},
	{tokenfile.ErrDevicePIN, "--without-pins takes such devices and drops the PINs"},
	{tokenfile.ErrNeedsKey, "--key-file FILE names a file with the key, in hexadecimal"},
	{tokenfile.ErrNeedsPassphrase, "--passphrase-file FILE names a file with the passphrase"},
	{errUnknownGroup, "check the name with getent group"},
	{admin.ErrSeveralToResync, "say which with --id"},
	{admin.ErrNothingToResync, "see the devices with otpctl status"},
	{factor.ErrNowhere, "give two codes in the order in which the device shows them, and none between them left out"},
	{factor.ErrSeveral, "take the next two"},
	{factor.ErrOld, "its clock or counter has gone back; codes count again once it gets to where it was. Set its clock right, or enroll it anew: otpctl enroll USER --id ID --replace"},
	{enrollment.ErrAlreadyConfirmed, "give a second device another id, such as --id tablet; or let the new one take the old one's place once it is confirmed, with --replace"},
	{enrollment.ErrNothingToConfirm, "begin with otpctl enroll"},
	{enrollment.ErrSeveralToConfirm, "say which with --id"},
	{enrollment.ErrCodeUsed, "wait until the app shows the next one"},
	{admin.ErrNotEnrolled, "recovery codes are for people who are enrolled and enabled: see otpctl status"},
	{account.ErrNotFound, "see who has one with otpctl list"},
	{ErrNoPortal, "say with url in [portal] where people reach the page"},
	{ErrNoEmail, "--print prints the link, for you to hand over"},
	{invitation.ErrDisabled, "otpctl enable lets the person in again; then invite"},
	{invitation.ErrNoCurrent, "--replace asks for none"},
}

// everyLine is what --replace does with a file.
const everyLine = "it does so for every line, so give it a file of those that need it"

// deviceImports are the commands that take devices from a list.
var deviceImports = []string{"uri", "pskc", "privacyidea", "linotp", "andotp", "aegis", "2fas"}

// unknownHint says what to do about a name that the machine does not know.
func (a *App) unknownHint() string {
	does := "enrolls"
	if a.command == "invite" {
		does = "invites"
	}
	hint := "check the name with getent passwd; --no-user-check " + does + " somebody who is still to come"
	switch {
	case a.command == "google-authenticator":
		hint += "; --user says whose a named file is"
	case slices.Contains(deviceImports, a.command):
		hint += "; --map says who has which device"
	}
	return hint
}

// addressHint says where an address is to be given.
func (a *App) addressHint() string {
	switch {
	case a.command == "invite":
		how := "give one with --email"
		if a.Csv {
			how = "fill in the column email"
		}
		return how + "; or --print prints the link, for you to hand over"
	case a.Csv:
		return "fill in the column email or phone"
	case a.command == "send-test":
		return "give one with --to; " + a.Self() + " set USER --email ADDRESS or --phone NUMBER writes it into the secret file"
	}
	return "give it: --email ADDRESS with --kind email, --phone NUMBER with --kind sms"
}

// replaceHint says how to replace what is there.
func (a *App) replaceHint(nothing admin.NothingToReplaceError) string {
	switch {
	case len(nothing.Have) == 0:
		return "leave --replace out for who has none"
	case a.Csv:
		return "name the device that is replaced in the column id"
	}
	return "say which with --id"
}

// wrongHint says what may be the matter with a first code.
func (a *App) wrongHint(wrong enrollment.WrongCodeError) string {
	switch {
	case wrong.Kind.IsSent():
		return "take the code of the newest message, exactly as it is, before it ends; enroll again to have another sent"
	case wrong.Malformed && wrong.Kind == account.HOTP:
		return "type the digits only, without a space between them; if the token types something before them, as a YubiKey its identity, enroll it with --prefix"
	case wrong.Malformed:
		return "type the digits only, without a space between them"
	case wrong.Ahead > 0:
		return fmt.Sprintf("if the token shows this code now, it is %s: run %s resync with the next two, then confirm with the one after", factor.Codes(wrong.Ahead), a.Self())
	case wrong.Kind == account.HOTP:
		return "take the code that the token shows now; if it has been used before, enroll it with --counter"
	}
	return a.clockHint(wrong)
}

// clockHint says how far the clocks are apart, if the code tells. This is what
// a wrong code comes from most often.
func (a *App) clockHint(wrong enrollment.WrongCodeError) string {
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

func (a *App) clockState() string {
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

// Self is how the command is called again with the same configuration.
func (a *App) Self() string {
	if a.Config == "" {
		return "otpctl"
	}
	return "otpctl --config " + a.Config
}

// unsentHint says what a channel that does not work may have wrong.
func (a *App) unsentHint(channel deliver.Channel) string {
	answers, whose := "", "address"
	if channel == deliver.SMS {
		answers, whose = "the answers that success takes, ", "number"
	}
	return fmt.Sprintf("look at [%s] in %s: where it sends to, who it says it is, %sand the certificates it trusts; and at the %s of the person",
		channel, a.configName(), answers, whose)
}

// configName is the file to look into.
func (a *App) configName() string {
	if a.Config == "" {
		return config.DefaultPath
	}
	return a.Config
}

// renameHint says what to do where a rename is refused.
func (a *App) renameHint(err error) string {
	switch {
	case errors.Is(err, ErrStillThere):
		return "change the login name first: usermod -l NEW OLD"
	case errors.Is(err, account.ErrTaken):
		return "see whose devices it has with " + a.Self() + " status; " + a.Self() + " remove takes it away"
	case errors.Is(err, admin.ErrElsewhere):
		return "rename that other name; " + a.Self() + " remove takes away the file that came back"
	case errors.Is(err, ErrUnknownUser):
		return "change the login name first: usermod -l NEW OLD; --no-user-check renames also to somebody whom this machine does not know"
	}
	return ""
}

// needed says what to do about an address that cannot be taken away.
func (a *App) needed(err error) string {
	var e admin.AddressNeededError
	if !errors.As(err, &e) {
		return ""
	}
	return "take the factor away first, with " + a.Self() + " remove " + e.User + " --id " + e.Factors[0] +
		"; or give another address with " + a.Self() + " set " + e.User + " --" + e.Address
}

// FoundStatus is the exit status of a command that did what it was asked and
// found something.
type FoundStatus int

func (f FoundStatus) Error() string { return fmt.Sprintf("status %d", int(f)) }

// ErrStillThere is wrapped by the error for a former name that is an account.
var ErrStillThere = errors.New("it is still an account of this machine")
