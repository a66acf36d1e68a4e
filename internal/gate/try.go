package gate

import (
	"context"
	"errors"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// try checks one code. Not decided means that it was wrong and another may be
// tried.
func (d *dialogue) try(ctx context.Context, code string) (_ Verdict, decided bool) {
	// A person may type for minutes. What was revoked meanwhile is not good,
	// and what other logins spent of the address's budget is spent.
	until, err := d.stillMay(ctx)
	switch {
	case err != nil:
		d.conversation.Tell(Failure, cannotDecide)
		return fault(err), true
	case !until.IsZero():
		return tellLocked(d.conversation, until), true
	case !d.person.Enrolled():
		return Verdict{Deny, "not-enrolled", "the enrollment ended while the code was typed"}, true
	}
	spent, err := d.spend(ctx, code)
	var locked lockedError
	switch {
	case errors.As(err, &locked):
		return tellLocked(d.conversation, locked.until), true
	case err != nil:
		d.conversation.Tell(Failure, cannotDecide)
		return fault(blame{"ledger", err}), true
	case spent.session != nil:
		return remembered(*spent.session), true
	case spent.outcome == factor.Right:
		d.welcome(spent)
		return Verdict{Accept, spent.rule, d.deliveredBy(spent.rule)}, true
	case !spent.lockedUntil.IsZero():
		return tellLocked(d.conversation, spent.lockedUntil), true
	case spent.outcome == factor.Used:
		d.tries.used++
		d.conversation.Tell(Failure, usedText(code))
	default:
		d.tries.wrong++
		d.conversation.Tell(Failure, wrongCode)
	}
	return Verdict{}, false
}

// stillMay looks again at the person's file and at the address's lock. The
// person's own is looked at with the ledger's entry held, see spend.
func (d *dialogue) stillMay(ctx context.Context) (lockedUntil time.Time, err error) {
	if d.person, err = d.findAgain(d.request.User, d.person); err != nil {
		return time.Time{}, err
	}
	source, found := sourceKey(d.request)
	if !found {
		return time.Time{}, nil
	}
	return d.lockedUntil(ctx, source)
}

// spent is what became of a code, and what the ledger now says.
type spent struct {
	outcome      factor.Outcome
	rule         string
	recoveryLeft int // -1 unless a recovery code was used
	unseen       int // wrong codes that the person was not told of
	lockedUntil  time.Time
	// session is set if the code had just opened one, in another login.
	session *ledger.Session
}

// spend checks code and, in the same change of the ledger, marks it as used or
// counts it as wrong. So of many logins with one code one alone gets in, and
// no number of connections gives more guesses.
func (d *dialogue) spend(ctx context.Context, code string) (spent, error) {
	now := d.Now()
	var result spent
	err := d.Ledger.Update(ctx, userKey(d.person), func(entry *ledger.Entry) error {
		result = spent{recoveryLeft: -1}
		if until := locked(entry.Attempts, now); !until.IsZero() {
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
		default:
			limits := d.Config.Policy.Attempts
			countPerson(&entry.Attempts, limits.PerWindow, limits.Window, now)
			result.lockedUntil = locked(entry.Attempts, now)
		}
		return nil
	})
	if err != nil || result.outcome != factor.Wrong {
		return result, err
	}
	return result, d.countSource(ctx, d.request, now)
}

// countIn notes a right code in the person's entry.
func (d *dialogue) countIn(result *spent, code string, now time.Time, entry *ledger.Entry) {
	result.unseen = countRight(&entry.Attempts)
	entry.LastLogin = now.UTC().Truncate(time.Second)
	if result.rule == recoveryRule {
		result.recoveryLeft = factor.RecoveryLeft(d.person, *entry)
	}
	d.openSession(d.request, d.person, code, now, entry)
}

const recoveryRule = "recovery"

// verify compares code with everything of the person that counts.
func (d *dialogue) verify(code string, now time.Time, entry *ledger.Entry) (factor.Outcome, string) {
	if rule, right := d.verifySent(code, now, entry); right {
		return factor.Right, rule
	}
	return d.Gate.verify(d.person, code, now, entry)
}

// verify compares code with what the person has and nobody had to send.
func (g *Gate) verify(person account.Person, code string, now time.Time, entry *ledger.Entry) (factor.Outcome, string) {
	used := false
	for _, f := range person.Confirmed() {
		totp := factor.TOTP{User: person.User, Factor: f, Window: g.Config.TOTP.Window}
		switch totp.Verify(code, now, entry) {
		case factor.Right:
			return factor.Right, factorRule(f)
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

func factorRule(f account.Factor) string { return string(f.Kind) + ":" + f.ID }
