package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/otpauth"
	"github.com/otpgate/otpgate/internal/safefile"
)

// What people are told who enroll at the login. Nothing secret is shown before
// somebody has answered a question: a host that answers by itself may write
// what it is told into a log.
const (
	needsEnroll = "A verification code from an authenticator app is required here."
	askToEnroll = "Press Enter to set it up (or type key, and Enter, for the key without a QR code): "
	enrollHow   = "Scan this QR code with the app on your phone."
	enrollKey   = "Type this key into the app on your phone. Then type the code that the app shows."
	// A code may be 95 lines, of signs that cannot be shown: what can be read
	// stands below it.
	enrollBelow = "If you cannot scan the QR code above, type this key into the app. Then type the code that the app shows."
	enrollFirst = "A verification code is required and you have not enrolled yet. Log in once with a terminal, as with ssh, to set it up."
	proveFirst  = "A verification code is required and you have not enrolled yet. Log in once with the password or an ed25519 key to set it up."
	enrolled    = "You are enrolled. With each of these codes you can log in once when you do not have the app. Write them down now; they are not shown again:"
	pressEnter  = "Press Enter when you have written them down: "
	// unenrolledNow comes before what an [Inviter] tells.
	unenrolledNow = "A verification code is required here and you have not enrolled yet. "
	elsewhere     = "You have enrolled in another login meanwhile. Log in again with a code from the app."
	notEnrolled   = "You are not enrolled. Log in again to try once more."
	// LoginFactor is what a device is called that is set up because of a login. It is
	// otpctl's own id too: a lost phone is then replaced, not kept beside the new one.
	LoginFactor = "phone"
)

// enrollNow enrolls the person after the password, and lets the login go on
// once a first code was right. Until then nothing is written.
func (g *Gate) enrollNow(ctx context.Context, request Request, person account.Person, conversation Conversation) Verdict {
	const rule = "policy.unenrolled"
	if request.Unproven {
		conversation.Tell(Failure, proveFirst)
		return Verdict{TooMany, rule, "enroll: nothing was proven before; log in with the password or an ed25519 key"}
	}
	if err := PlaceOf(g.Config).CanWrite(); err != nil {
		conversation.Tell(Failure, cannotDecide)
		return fault(blame{"enrollment", err})
	}
	conversation.Tell(Info, needsEnroll)
	answer, err := conversation.Ask(askToEnroll)
	switch {
	case err != nil:
		return Verdict{Deny, rule, "enroll: no answer: " + err.Error()}
	case answer.Password:
		conversation.Tell(Failure, enrollFirst)
		return Verdict{TooMany, rule, "enroll: the host cannot ask"}
	}
	f := enrollment.NewFactor(LoginFactor, g.Config.TOTP)
	asText := strings.EqualFold(strings.TrimSpace(answer.Text), "key")
	if err := g.showKey(person.User, f, asText, conversation); err != nil {
		conversation.Tell(Failure, cannotDecide)
		return fault(err)
	}
	slipped := false
	for range g.Config.Policy.Attempts.PerLogin {
		answer, err := conversation.Ask(Prompt)
		if err == nil && answer.Password && !slipped {
			slipped = true
			conversation.Tell(Failure, wasPassword)
			continue
		}
		if err != nil || answer.Password {
			return Verdict{Deny, rule, "enroll: no first code was given"}
		}
		codes, unsure, err := g.enrollWith(ctx, person.User, f, answer.Text)
		var wrong enrollment.WrongCodeError
		switch {
		case errors.As(err, &wrong):
			conversation.Tell(Failure, firstCodeHint(wrong))
			continue
		case errors.Is(err, enrollment.ErrAlreadyConfirmed):
			conversation.Tell(Failure, elsewhere)
			return Verdict{Deny, rule, "enroll: " + err.Error()}
		case errors.Is(err, account.ErrChanged):
			conversation.Tell(Failure, notEnrolled)
			return Verdict{Deny, rule, "enroll: " + err.Error()}
		case err != nil:
			conversation.Tell(Failure, cannotDecide)
			return fault(blame{"enrollment", err})
		}
		g.note(request, "enrolled", factorRule(f), "at the login"+unsure)
		showCodes(codes, conversation)
		return Verdict{Accept, factorRule(f), "the first code of an enrollment at the login"}
	}
	conversation.Tell(Failure, notEnrolled)
	return Verdict{TooMany, rule, "enroll: no first code was right"}
}

// Inviter mails the person a link by which to enroll, unless one is there already. engine
// is that of the login, which goes on if it is inGrace.
type Inviter func(ctx context.Context, engine *Gate, person account.Person, inGrace bool) Invited

// Invited is what became of it.
type Invited struct {
	// Told is for the person, Reason for the log. Told is empty where an admin must help.
	Told, Reason string
	// Err says that a link was to be mailed and could not be.
	Err error
}

// inviteNow mails a link, and lets nobody in.
func (g *Gate) inviteNow(ctx context.Context, request Request, need Need, person account.Person, conversation Conversation) Verdict {
	if request.Unproven {
		conversation.Tell(Failure, proveFirst)
		return Verdict{TooMany, need.Rule, need.Reason + "; nothing was proven before, so that no link is mailed"}
	}
	invited := g.invite(ctx, request, person, false)
	verdict := Verdict{TooMany, need.Rule, need.Reason + "; " + invited.Reason}
	if invited.Err != nil {
		verdict.Decision = Fault
	}
	text := refusedUnenrolled
	if invited.Told != "" {
		text = unenrolledNow + invited.Told
	}
	conversation.Tell(Failure, text)
	return verdict
}

// invite writes a line of its own about a link that could not be mailed: whoever is let
// in all the same has none else that says so.
func (g *Gate) invite(ctx context.Context, request Request, person account.Person, inGrace bool) Invited {
	if g.Invite == nil {
		err := errors.New("this program mails no links")
		return Invited{Reason: err.Error(), Err: err}
	}
	invited := g.Invite(ctx, g, person, inGrace)
	if invited.Err != nil {
		invited.Reason = "the link could not be mailed: " + invited.Err.Error()
		g.note(request, "not-sent", "email:link", invited.Reason)
	}
	return invited
}

// showKey shows the key, and above it the QR code unless it is to be text alone.
func (g *Gate) showKey(user string, f account.Factor, asText bool, conversation Conversation) error {
	key := "Key: " + otpauth.Grouped(f.Secret.Base32())
	if asText {
		conversation.Tell(Info, enrollKey+"\n\n"+key)
		return nil
	}
	issuer, err := otpauth.Issuer(g.Config.TOTP.Issuer)
	if err != nil {
		return err
	}
	code, err := otpauth.Draw(otpauth.URI(issuer, user, f))
	if err != nil {
		return err
	}
	conversation.Tell(Info, enrollHow+"\n\n"+code.Blocks(false)+"\n"+enrollBelow+"\n"+key)
	return nil
}

// enrollWith writes f as confirmed, if code is its first one, and makes
// recovery codes. The code is used up before, so that it logs nobody in again.
// unsure is for the log, if the disk does not say that it keeps the file: the device
// counts, and there is no other time to show the codes.
func (g *Gate) enrollWith(ctx context.Context, user string, f account.Factor, code string) (codes []string, unsure string, err error) {
	dir, err := PlaceOf(g.Config).Create()
	if err != nil {
		return nil, "", err
	}
	defer dir.Close()
	err = dir.Change(user, func(person *account.Person) error {
		if !person.Enabled || len(person.Confirmed()) > 0 {
			return enrollment.ErrAlreadyConfirmed
		}
		// What an admin began, and the person never confirmed, is over.
		person.Factors = slices.DeleteFunc(person.Factors, func(old account.Factor) bool { return old.ID == f.ID })
		person.Factors = append(person.Factors, f)
		entry, err := enrollment.SpendFirst(ctx, g.Ledger, g.Config, g.Now(), *person, f, code)
		if err != nil {
			return err
		}
		codes = enrollment.Confirm(person, len(person.Factors)-1, entry, g.Now()).RecoveryCodes
		return nil
	})
	if placed, ok := errors.AsType[safefile.PlacedError](err); ok {
		unsure, err = "; "+placed.Error(), nil
	}
	return codes, unsure, err
}

// firstCodeHint helps somebody whose first code is wrong.
func firstCodeHint(wrong enrollment.WrongCodeError) string {
	switch {
	case wrong.Malformed:
		return fmt.Sprintf("That is no code: it has %d digits and no spaces.", wrong.Digits)
	case wrong.Off != 0:
		return fmt.Sprintf("That code is for another time, %s from now: set the phone's clock by the network.", wrong.Off.Abs())
	}
	return wrongCode
}

// showCodes shows recovery codes, and waits: many clients clear the screen
// once the login has gone on.
func showCodes(codes []string, conversation Conversation) {
	if len(codes) == 0 {
		return
	}
	conversation.Tell(Info, enrolled+"\n\n  "+strings.Join(codes, "\n  ")+"\n")
	// The code was right and the enrollment is written, whatever comes here.
	_, _ = conversation.Ask(pressEnter)
}
