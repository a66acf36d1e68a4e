package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// try checks one code. Not decided means that it was wrong and another may be
// tried.
func (d *dialogue) try(ctx context.Context, code string) (_ Verdict, decided bool) {
	// A person may type for minutes. What was revoked meanwhile is not good,
	// and what other logins spent of the address's budget is spent.
	before, err := d.stillMay(ctx)
	switch {
	case err != nil:
		d.conversation.Tell(Failure, cannotDecide)
		return fault(err), true
	case !before.until.IsZero():
		return d.tellLocked(before), true
	case !d.person.Enrolled():
		return Verdict{Deny, "not-enrolled", "the enrollment ended while the code was typed"}, true
	}
	result, err := d.useUp(ctx, code)
	var locked lockedError
	var unknown untold
	switch {
	case errors.As(err, &locked):
		return d.tellLocked(d.locksPerson(locked.until)), true
	case errors.As(err, &unknown):
		d.conversation.Tell(Failure, cannotDecide)
		return fault(blame{"secret-file", unknown.error}), true
	case err != nil:
		d.conversation.Tell(Failure, cannotDecide)
		return fault(blame{"ledger", err}), true
	case result.session != nil:
		return remembered(*result.session), true
	case result.outcome == factor.Right:
		d.tellAccepted(result)
		return Verdict{Accept, result.rule, d.deliveredBy(result.rule)}, true
	case !result.lockedUntil.IsZero():
		verdict := d.tellLocked(d.locksPerson(result.lockedUntil))
		if result.hint != "" {
			verdict.Reason += "; " + result.hint
		}
		return verdict, true
	case result.outcome == factor.Used:
		d.tries.used++
		if result.hint != "" {
			d.tries.hint = result.hint
		}
		d.conversation.Tell(Failure, usedText(result))
	default:
		d.tries.wrong++
		if result.hint != "" {
			d.tries.hint = result.hint
		}
		d.conversation.Tell(Failure, wrongCode)
	}
	return Verdict{}, false
}

// stillMay looks again at the person's file and at the address's lock, at the same time
// where both are far away. The person's own lock is looked at with the ledger's entry held,
// see useUp.
func (d *dialogue) stillMay(ctx context.Context) (locked lock, err error) {
	looking, cancel := context.WithCancel(ctx)
	defer cancel()
	sources := d.sourcesOf(d.request)
	view := ledger.Views(looking, d.Ledger, sources...)
	if d.person, err = d.findAgain(d.request.User, d.person); err != nil {
		return lock{}, err
	}
	return d.firstLockOf(ctx, sources, view)
}

// codeResult is what became of a code, and what the ledger now says.
type codeResult struct {
	outcome      factor.Outcome
	rule         string
	recoveryLeft int // -1 unless a recovery code was used
	unseen       int // wrong codes that the person was not told of
	// unseenOfPeers are those that programs of others than root gave.
	unseenOfPeers int
	lockedUntil   time.Time
	// hint says for the log what may have been the matter with a wrong code, or
	// with one that counts as used.
	hint string
	// countsAgain is set if the code counts as used because the device's clock
	// was ahead, and is when that ends.
	countsAgain time.Time
	// unknown is set if it could not be told whether the code is right.
	unknown *untold
	// session is set if the code had just opened one, in another login.
	session *ledger.Session
}

// useUp checks code and, in the same change of the ledger, marks it as used or
// counts it as wrong. So of many logins with one code one alone gets in, and
// no number of connections gives more guesses.
func (d *dialogue) useUp(ctx context.Context, code string) (codeResult, error) {
	now := d.Now()
	var result codeResult
	var seen ledger.Entry
	err := d.Ledger.Update(ctx, ledger.UserKey(d.person.User), func(entry *ledger.Entry) error {
		result = codeResult{recoveryLeft: -1}
		counts := d.counts(*entry)
		if until := locked(counts.Attempts, now); !until.IsZero() {
			return lockedError{until}
		}
		result.outcome, result.rule = d.verify(code, now, entry)
		switch result.outcome {
		case factor.Right:
			d.countIn(&result, code, now, entry)
		case factor.Used:
			// It could get nobody in, so it is no guess; clients send one
			// again, some while the first answer is still on its way.
			if session, found := d.session(d.request, d.person, *entry); found {
				result.session = &session
			}
			result.countsAgain, result.hint = d.setBack(result.rule, code, now, *entry)
		default:
			if unknown, ok := cannotTell(d.person, code); ok {
				result.unknown = &unknown
				if !d.wasGuess(code, now, *entry) {
					return unknown
				}
			}
			limits := d.Config.Policy.Attempts
			countPerson(&counts.Attempts, limits.PerWindow, limits.Window, now)
			d.setCounts(entry, counts)
			result.lockedUntil = locked(counts.Attempts, now)
			d.keepLogin(result, now, entry)
			seen = *entry
		}
		return nil
	})
	if err != nil || result.outcome != factor.Wrong {
		return result, err
	}
	result.hint = displaced(d.person, code, now, seen)
	if result.hint == "" {
		result.hint = clockBehind(d.person, now, seen)
	}
	err = d.countSource(ctx, d.request, now)
	if err == nil && result.unknown != nil {
		return result, *result.unknown
	}
	return result, err
}

// Proof is what became of a code that is to show who somebody is outside of a login.
// The zero value proves nothing.
type Proof struct {
	Outcome factor.Outcome
	Rule    string
	// Malformed says that it could be no code of the person's, so that it counts as
	// nothing. LockedUntil is until when no code is taken.
	Malformed   bool
	LockedUntil time.Time
	// Unseen is how many wrong codes the person had not been told of.
	Unseen int
}

// Prove uses up a code of a device of the person's, or a recovery code. A code that is
// wrong counts as one at a login. One that was sent shows only who reads the mail.
func (g *Gate) Prove(ctx context.Context, person account.Person, remote, code string) (Proof, error) {
	d := &dialogue{Gate: g, request: Request{User: person.User, RemoteHost: remote}, person: person, isProof: true}
	if !d.plausible(code) {
		return Proof{Malformed: true}, nil
	}
	if until, err := g.SourceLocked(ctx, remote); err != nil || !until.IsZero() {
		return Proof{LockedUntil: until}, err
	}
	result, err := d.useUp(ctx, code)
	if lock, ok := errors.AsType[lockedError](err); ok {
		return Proof{LockedUntil: lock.until}, nil
	}
	if err != nil {
		return Proof{}, err
	}
	return Proof{
		Outcome: result.outcome, Rule: result.rule, LockedUntil: result.lockedUntil, Unseen: result.unseen + result.unseenOfPeers,
	}, nil
}

// countIn notes a right code in the person's entry, and the login.
func (d *dialogue) countIn(result *codeResult, code string, now time.Time, entry *ledger.Entry) {
	counts := d.counts(*entry)
	result.unseen = countRight(&counts.Attempts)
	d.setCounts(entry, counts)
	result.unseenOfPeers = d.seen(entry)
	if result.rule == recoveryRule {
		result.recoveryLeft = factor.RecoveryLeft(d.person, *entry)
	}
	if d.isProof {
		return // nobody logs in
	}
	entry.LastLogin = now.UTC().Truncate(time.Second)
	d.keepLogin(*result, now, entry)
	if d.isServiceKnown() {
		countService(d.request.Service, entry)
	}
	d.openSession(d.request, d.person, code, now, entry)
}

// keepLogin notes the login among the person's last ones, in the change that is made anyway.
func (d *dialogue) keepLogin(result codeResult, now time.Time, entry *ledger.Entry) {
	if d.isProof {
		return // nobody logs in
	}
	host := d.Client
	if host == "" {
		host = d.Host
	}
	entry.AddLogin(ledger.Login{
		At: now, Service: d.request.Service, Host: host, Address: d.request.RemoteHost, Peer: d.Peer,
		Rule: result.rule, Denied: result.outcome != factor.Right,
	}, d.Config.Policy.Attempts.Window.Duration)
}

// isServiceKnown says whether the login came by the service that the request names, as
// far as that matters. Programs of another than root name any, and root's alone run
// those that are built in.
func (d *dialogue) isServiceKnown() bool {
	if d.Peer == "" {
		return d.Client == ""
	}
	_, isRoots := config.Default().Services[d.request.Service]
	return !d.OwnPrograms && d.Client == "" && !isRoots
}

// KeptServices is how many services an entry names: more than one person logs in
// by, and few enough that an entry stays small.
const KeptServices = 8

// countService notes by which service the last login came: otpctl pam confirm
// asks for it.
func countService(service string, entry *ledger.Entry) {
	const longest = 64 // no file of pam.d has a longer name
	if service == "" || len(service) > longest {
		return
	}
	entry.Services = slices.DeleteFunc(slices.Clone(entry.Services), func(s ledger.ServiceLogin) bool { return s.Service == service })
	entry.Services = append(entry.Services, ledger.ServiceLogin{Service: service, At: entry.LastLogin})
	entry.Services = entry.Services[max(0, len(entry.Services)-KeptServices):]
}

const recoveryRule = "recovery"

// verify compares code with everything of the person that counts.
func (d *dialogue) verify(code string, now time.Time, entry *ledger.Entry) (factor.Outcome, string) {
	if rule, right := d.verifySent(code, now, entry); right {
		return factor.Right, rule
	}
	outcome, rule := d.Gate.verify(d.person, code, now, entry)
	if outcome == factor.Wrong && d.wasSent(code) {
		// It was right, and no guess.
		return factor.Used, expiredRule
	}
	if outcome == factor.Wrong && factor.WasSent(d.person.User, code, now, *entry) {
		return factor.Used, earlierRule
	}
	return outcome, rule
}

// expiredRule is of a code that was sent for this login and came too late,
// earlierRule of one that came when its login was over.
const (
	expiredRule = "expired"
	earlierRule = "earlier"
)

// verify compares code with what the person has and nobody had to send.
func (g *Gate) verify(person account.Person, code string, now time.Time, entry *ledger.Entry) (factor.Outcome, string) {
	used := ""
	for _, f := range person.Confirmed() {
		switch factor.Verify(person.User, f, g.Config, code, now, entry) {
		case factor.Right:
			return factor.Right, factorRule(f)
		case factor.Used:
			used = factorRule(f)
		}
	}
	switch factor.VerifyRecovery(person, code, entry) {
	case factor.Right:
		return factor.Right, recoveryRule
	case factor.Used:
		used = recoveryRule
	}
	if used != "" {
		return factor.Used, used
	}
	return factor.Wrong, "code"
}

// displaced says of a wrong code which factor's it would have been, and by how
// much it was off. This is for the log only: it would tell a guesser that a code
// is a real one. Every factor is looked at, so that time does not tell it either.
func displaced(person account.Person, code string, now time.Time, entry ledger.Entry) (hint string) {
	for _, f := range person.Confirmed() {
		if where := factor.Displaced(person.User, f, code, now, entry); where != "" {
			hint = "a code of " + f.ID + ", " + where + " (see otpctl resync)"
		}
	}
	return hint
}

// otherPrefix says of an answer that is no code if a token may have typed more than
// the code. It does not quote the answer, which may be a password.
func otherPrefix(person account.Person, text string) (hint string) {
	for _, f := range person.Confirmed() {
		if factor.HasOther(f, text) {
			hint = "an answer ended like a code of " + f.ID + ", with something else before it: if the device types its identity first, as a YubiKey does, name that as prefix in the secret file (otpctl enroll --prefix)"
		}
	}
	return hint
}

// setBack says from when on the codes of the factor that rule names count again,
// if this one counts as used because its device's clock was ahead.
func (d *dialogue) setBack(rule, code string, now time.Time, entry ledger.Entry) (again time.Time, hint string) {
	for _, f := range d.person.Confirmed() {
		if factorRule(f) != rule {
			continue
		}
		if again = factor.SetBack(d.person.User, f, d.Config.TOTP.Window, code, now, entry); !again.IsZero() {
			hint = fmt.Sprintf("a clock was ahead when a later code was used; codes of %s count again from %s", f.ID, again.UTC().Format(time.RFC3339))
		}
	}
	return again, hint
}

func factorRule(f account.Factor) string { return string(f.Kind) + ":" + f.ID }
