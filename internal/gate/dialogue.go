package gate

import (
	"context"
	"errors"
	"fmt"
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
	usedRecovery      = "That recovery code has been used. Take another one."
	noCode            = "That is no code. Type the digits that the app shows, or a recovery code as it was printed, with its dashes."
	cannotDecide      = "The verification code cannot be checked now. Please tell your administrator."
	refusedUnenrolled = "A verification code is required and you have not enrolled yet. Please ask your administrator."
)

// passwordRepeated tells the admin what to set where a host types the password
// into every prompt.
const passwordRepeated = "the host answered the code prompt with the password; it cannot ask for a code. " +
	"For sshd set KbdInteractiveAuthentication yes and PasswordAuthentication no"

// nothingBehind is for such a host behind a split line.
const nothingBehind = "no code behind the password, and the host cannot ask for one. Type the code right behind the password"

// repeated ends the dialogue with a host that gives the password as a code. It
// costs no attempt.
func repeated(request Request, tries tries) Verdict {
	switch {
	case !request.AfterSplit:
		return Verdict{TooMany, "password-repeated", passwordRepeated + tries.before()}
	case tries.none():
		return Verdict{TooMany, "password-repeated", nothingBehind}
	}
	return Verdict{TooMany, "code", tries.String() + "; the host cannot ask for another one"}
}

// dialogue asks until a code is right or the login's tries are spent.
func (g *Gate) dialogue(ctx context.Context, request Request, person account.Person, conversation Conversation) Verdict {
	until, err := g.lockedUntil(ctx, keysOf(request, person)...)
	if err != nil {
		conversation.Tell(Failure, cannotDecide)
		return fault(err)
	}
	if !until.IsZero() {
		return tellLocked(conversation, until)
	}
	var tries tries
	for range g.Config.Policy.Attempts.PerLogin {
		answer, err := conversation.Ask(Prompt)
		switch {
		case err != nil:
			return Verdict{Deny, "no-answer", err.Error() + tries.before()}
		case answer.Password:
			return repeated(request, tries)
		case !plausible(person, answer.Text):
			// It cannot be a code, so it is no guess and costs only this
			// login's try.
			tries.malformed++
			conversation.Tell(Failure, noCode)
			continue
		}
		verdict, again := g.try(ctx, request, person, answer.Text, conversation, &tries)
		if !again {
			return verdict
		}
	}
	return Verdict{TooMany, "policy.attempts.per_login", tries.String()}
}

// tries counts what one login has tried.
type tries struct{ wrong, used, malformed int }

func (t tries) String() string {
	return fmt.Sprintf("codes: %d wrong, %d used before, %d not in the form of a code", t.wrong, t.used, t.malformed)
}

func (t tries) none() bool { return t == (tries{}) }

// before tells of the tries ahead of the one that something else ended.
func (t tries) before() string {
	if t.none() {
		return ""
	}
	return "; before, " + t.String()
}

// try checks one code. again says that it was wrong and another may be tried.
func (g *Gate) try(ctx context.Context, request Request, person account.Person, code string, conversation Conversation, tries *tries) (_ Verdict, again bool) {
	// A person may type for minutes. What was revoked meanwhile is not good,
	// and what other logins spent of the address's budget is spent.
	person, until, err := g.stillMay(ctx, request, person)
	switch {
	case err != nil:
		conversation.Tell(Failure, cannotDecide)
		return fault(err), false
	case !until.IsZero():
		return tellLocked(conversation, until), false
	case !person.Enrolled():
		return Verdict{Deny, "not-enrolled", "the enrollment ended while the code was typed"}, false
	}
	spent, err := g.spend(ctx, request, person, code)
	var locked lockedError
	switch {
	case errors.As(err, &locked):
		return tellLocked(conversation, locked.until), false
	case err != nil:
		conversation.Tell(Failure, cannotDecide)
		return fault(blame{"ledger", err}), false
	case spent.outcome == factor.Right:
		welcome(conversation, spent, tries)
		return Verdict{Accept, spent.rule, ""}, false
	case !spent.lockedUntil.IsZero():
		return tellLocked(conversation, spent.lockedUntil), false
	case spent.outcome == factor.Used:
		tries.used++
		conversation.Tell(Failure, usedText(code))
	default:
		tries.wrong++
		conversation.Tell(Failure, wrongCode)
	}
	return Verdict{}, true
}

// stillMay looks again at the person's file and at the address's lock. The
// person's own is looked at with the ledger's entry held, see spend.
func (g *Gate) stillMay(ctx context.Context, request Request, known account.Person) (account.Person, time.Time, error) {
	person, err := g.findAgain(request.User, known)
	if err != nil {
		return account.Person{}, time.Time{}, err
	}
	source, found := sourceKey(request)
	if !found {
		return person, time.Time{}, nil
	}
	until, err := g.lockedUntil(ctx, source)
	return person, until, err
}

// welcome tells what the owner should know after a right code.
func welcome(conversation Conversation, spent spent, tries *tries) {
	if spent.recoveryLeft >= 0 {
		conversation.Tell(Info, fmt.Sprintf("Recovery code accepted. You have %d left.", spent.recoveryLeft))
	}
	if others := spent.unseen - tries.wrong; others > 0 {
		conversation.Tell(Info, fmt.Sprintf("%d wrong codes were given in your name since your last login. If they were not yours, somebody knows your password.", others))
	}
}

func usedText(code string) string {
	if factor.IsRecovery(code) {
		return usedRecovery
	}
	return usedCode
}

func tellLocked(conversation Conversation, until time.Time) Verdict {
	conversation.Tell(Failure, "Too many wrong codes. Try again after "+until.Local().Format("15:04 MST on 2 January")+".")
	return Verdict{TooMany, "policy.attempts.per_window", "locked until " + until.UTC().Format(time.RFC3339)}
}

// plausible says whether text has the form of any code of the person.
func plausible(person account.Person, text string) bool {
	if factor.IsRecovery(text) {
		return true
	}
	for _, f := range person.Confirmed() {
		if factor.IsCode(f, text) {
			return true
		}
	}
	return false
}

// spent is what became of a code, and what the ledger now says.
type spent struct {
	outcome      factor.Outcome
	rule         string
	recoveryLeft int // -1 unless a recovery code was used
	unseen       int // wrong codes that the person was not told of
	lockedUntil  time.Time
}

// spend checks code and, in the same change of the ledger, marks it as used or
// counts it as wrong. So of many logins with one code one alone gets in, and
// no number of connections gives more guesses.
func (g *Gate) spend(ctx context.Context, request Request, person account.Person, code string) (spent, error) {
	now := g.Now()
	var result spent
	err := g.Ledger.Update(ctx, userKey(person), func(entry *ledger.Entry) error {
		result = spent{recoveryLeft: -1}
		if until := locked(entry.Attempts, now); !until.IsZero() {
			return lockedError{until}
		}
		result.outcome, result.rule = g.verify(person, code, now, entry)
		if result.outcome == factor.Right {
			result.unseen = countRight(&entry.Attempts)
			entry.LastLogin = now.UTC().Truncate(time.Second)
			if result.rule == recoveryRule {
				result.recoveryLeft = factor.RecoveryLeft(person, *entry)
			}
			return nil
		}
		if result.outcome == factor.Used {
			// It could get nobody in, so it is no guess; clients send one again.
			return nil
		}
		limits := g.Config.Policy.Attempts
		countPerson(&entry.Attempts, limits.PerWindow, limits.Window, now)
		result.lockedUntil = locked(entry.Attempts, now)
		return nil
	})
	if err != nil || result.outcome != factor.Wrong {
		return result, err
	}
	return result, g.countSource(ctx, request, now)
}

const recoveryRule = "recovery"

// verify compares code with everything of the person that counts.
func (g *Gate) verify(person account.Person, code string, now time.Time, entry *ledger.Entry) (factor.Outcome, string) {
	used := false
	for _, f := range person.Confirmed() {
		totp := factor.TOTP{User: person.User, Factor: f, Window: g.Config.TOTP.Window}
		switch totp.Verify(code, now, entry) {
		case factor.Right:
			return factor.Right, string(f.Kind) + ":" + f.ID
		case factor.Used:
			used = true
		}
	}
	switch factor.VerifyRecovery(person, code, entry) {
	case factor.Right:
		return factor.Right, recoveryRule
	case factor.Used:
		used = true
	}
	if used {
		return factor.Used, "code"
	}
	return factor.Wrong, "code"
}
