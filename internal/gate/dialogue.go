package gate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Conversation asks and tells the person who logs in.
type Conversation interface {
	// Ask shows a prompt and returns the answer, not echoed while typed. An
	// error means that there is no answer: a broken peer, Ctrl-C, a host that
	// cannot prompt.
	Ask(prompt string) (Answer, error)
	// Tell shows a line. What cannot be shown is dropped.
	Tell(tone Tone, text string)
}

// Answer is what the person, or the host in the person's place, typed.
type Answer struct {
	Text string
	// Password is set, and Text empty, if it was the login's password again.
	Password bool
}

// Tone says how a line is meant.
type Tone uint8

// The tones.
const (
	Info Tone = iota + 1
	Failure
)

// What people are told. The prompt has the wording by which graphical clients
// recognise the field for a code.
const (
	Prompt            = "Verification code: "
	wrongCode         = "That code is not right."
	usedCode          = "That code has been used. Wait for the next one."
	usedOfToken       = "That code has been used. Have the device make another one."
	usedRecovery      = "That recovery code has been used. Take another one."
	clockWasAhead     = "This device's clock was ahead (or this machine's), and a later code has been used. Its codes count again from %s. Until then take a recovery code or another device, or ask your administrator."
	expiredCode       = "That code has expired. Type email or sms to have another one sent."
	earlierCode       = "That code was sent for another login. Take the newest one, or type email or sms to have one sent."
	noCode            = "That is no code. Type it as it was shown or sent, but without spaces, or a recovery code as it was printed, with its dashes."
	wasPassword       = "That was your password. Type the verification code here."
	cannotDecide      = "The verification code cannot be checked now. Please tell your administrator."
	refusedUnenrolled = "A verification code is required and you have not enrolled yet. Please ask your administrator."
)

// passwordRepeated tells the admin of a host that types the password into every
// prompt, and the others what to set; nothingBehind what the person left out
// where that is known.
const (
	passwordRepeated = "the code prompt was answered with the password, and once more with it: a host that cannot ask for a code does so. "
	setInSSHD        = "For sshd set KbdInteractiveAuthentication yes and PasswordAuthentication no"
	setInPAM         = "Such a host needs a line with split before the password, see docs/pam-stacks.md"
	nothingBehind    = "no code behind the password, and the host cannot ask for one. Type the code right behind the password"
)

// dialogue is one login in which a code is asked for.
type dialogue struct {
	*Gate
	request      Request
	person       account.Person
	conversation Conversation
	tries        tries
	// sent are the codes that this login had sent, and that no other can use.
	sent []sentCode
	// isProof says that nobody logs in by a right code: see [Gate.Prove].
	isProof bool
}

// ask asks until a code is right or the login's tries are spent.
func (d *dialogue) ask(ctx context.Context) Verdict {
	if verdict, decided := d.begin(ctx); decided {
		return verdict
	}
	for d.tries.sum() < d.Config.Policy.Attempts.PerLogin {
		answer, err := d.conversation.Ask(Prompt)
		if verdict, decided := d.answered(ctx, answer, err); decided {
			return verdict
		}
	}
	return d.tooMany()
}

func (d *dialogue) tooMany() Verdict {
	return Verdict{TooMany, "policy.attempts.per_login", d.tries.String()}
}

// answered does with an answer what is to be done, and says whether that decides.
func (d *dialogue) answered(ctx context.Context, answer Answer, err error) (_ Verdict, decided bool) {
	switch {
	case err != nil:
		return Verdict{Deny, "no-answer", err.Error() + d.tries.before()}, true
	case answer.Password && d.tries.password:
		return d.passwordRepeated(ctx), true
	case answer.Password:
		// A slip of somebody's, or a host that cannot ask: that gives it again.
		d.tries.password = true
		d.conversation.Tell(Failure, wasPassword)
		return Verdict{}, false
	}
	d.tries.password = false
	if channel, isWord := d.channelWord(answer.Text); isWord {
		return d.sendAnother(ctx, channel)
	}
	if !d.plausible(answer.Text) {
		// It cannot be a code, so it is no guess and costs only this login's
		// try.
		d.tries.malformed++
		if hint := otherPrefix(d.person, answer.Text); hint != "" {
			d.tries.hint = hint
		}
		d.conversation.Tell(Failure, noCode)
		return Verdict{}, false
	}
	return d.try(ctx, answer.Text)
}

// begin looks at what the ledger knows before anybody is asked: a login that is
// remembered, wrong codes that lock, and sends the code where that comes first.
func (d *dialogue) begin(ctx context.Context) (_ Verdict, decided bool) {
	keys := d.keysOf(d.request, d.person)
	looking, cancel := context.WithCancel(ctx)
	defer cancel()
	view := ledger.Views(looking, d.Ledger, keys...)
	entry, err := view(0) // the person's
	if err != nil {
		return d.undecided(ctx, d.request, d.conversation, blame{"ledger", fmt.Errorf("look up the person: %w", err)}), true
	}
	if session, found := d.session(d.request, d.person, entry); found {
		return d.remembered(ctx, session), true
	}
	locked, err := d.firstLockOf(ctx, keys, view)
	switch {
	case err != nil:
		return d.undecided(ctx, d.request, d.conversation, err), true
	case !locked.until.IsZero():
		return d.tellLocked(locked), true
	}
	return d.sendFirst(ctx)
}

// passwordRepeated ends a dialogue in which the password came twice in a row:
// with a host that cannot ask. Where its stack
// takes codes off the password, a code that was sent waits for the next login.
func (d *dialogue) passwordRepeated(ctx context.Context) Verdict {
	switch {
	case !d.request.AfterSplit:
		advice := setInPAM
		if d.protocol(d.request) == "ssh" {
			advice = setInSSHD
		}
		return Verdict{TooMany, "password-repeated", passwordRepeated + advice + d.tries.before()}
	case len(d.sent) > 0:
		return d.carry(ctx)
	case d.tries.sum() > 0:
		return Verdict{TooMany, "code", d.tries.String() + "; the host cannot ask for another one"}
	}
	return Verdict{TooMany, "password-repeated", nothingBehind}
}

// tries counts what one login has tried.
type tries struct {
	wrong, used, malformed int
	// password says that the last answer was the password, which is no guess.
	password bool
	// hint tells the admin of the last wrong code what may have been the matter.
	hint string
}

func (t tries) sum() int { return t.wrong + t.used + t.malformed }

func (t tries) String() string {
	text := fmt.Sprintf("codes: %d wrong, %d used before, %d not in the form of a code", t.wrong, t.used, t.malformed)
	if t.hint != "" {
		text += "; " + t.hint
	}
	return text
}

// before tells of the tries ahead of the one that something else ended.
func (t tries) before() string {
	if t.sum() == 0 {
		return ""
	}
	return "; before, " + t.String()
}

// tellAccepted tells what the owner should know after a right code.
func (d *dialogue) tellAccepted(result codeResult) {
	if result.recoveryLeft >= 0 {
		d.conversation.Tell(Info, fmt.Sprintf("Recovery code accepted. You have %d left.", result.recoveryLeft))
	}
	tellUnseen(d.conversation, result.unseen-d.tries.wrong, result.unseenOfPeers)
}

// tellUnseen tells the owner of wrong codes that others gave.
func tellUnseen(conversation Conversation, others, ofPeers int) {
	if others > 0 {
		conversation.Tell(Info, fmt.Sprintf("%d wrong codes were given in your name since your last login. If they were not yours, somebody knows your password.", others))
	}
	if ofPeers > 0 {
		conversation.Tell(Info, fmt.Sprintf("%d wrong codes were given in your name by programs of this machine, without your password, since your last login.", ofPeers))
	}
}

func usedText(result codeResult) string {
	rule := result.rule
	switch {
	case !result.countsAgain.IsZero():
		return fmt.Sprintf(clockWasAhead, Clock(result.countsAgain))
	case rule == expiredRule:
		return expiredCode
	case rule == earlierRule:
		return earlierCode
	case rule == recoveryRule:
		return usedRecovery
	case strings.HasPrefix(rule, string(account.HOTP)+":"):
		return usedOfToken
	}
	return usedCode
}

func (d *dialogue) tellLocked(locked lock) Verdict { return d.Gate.tellLocked(d.conversation, locked) }

func (g *Gate) tellLocked(conversation Conversation, locked lock) Verdict {
	conversation.Tell(Failure, "Too many wrong codes. Try again after "+Clock(locked.until)+".")
	rule, reason := g.inLog(locked)
	return Verdict{TooMany, rule, reason}
}

// locksPerson is a lock of the person's own.
func (d *dialogue) locksPerson(until time.Time) lock {
	return lock{ledger.UserKey(d.person.User), until}
}

// Clock writes a time for people.
func Clock(t time.Time) string { return t.Local().Format("15:04 MST on 2 January") }

// plausible says whether text has the form of any code that this login takes.
func (d *dialogue) plausible(text string) bool {
	if factor.IsRecoveryOf(d.person, text) {
		return true
	}
	if d.takesSent() && factor.IsSent(d.Config.Sent, text) {
		return true
	}
	for _, f := range d.person.Confirmed() {
		if factor.IsCode(f, text) {
			return true
		}
	}
	return false
}
