package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// BreakGlass is how people get in while what decides their logins cannot be reached: by
// codes whose hashes are in Dir, each of which is good once by what Ledger remembers.
// That is the machine's own.
type BreakGlass struct {
	Dir    string
	Ledger ledger.Store
}

// UseBreakGlass has break-glass codes asked for on a client where its servers cannot be
// reached, and on a server where its ledger in etcd cannot be. It is for what asks those,
// or can never ask any: whoever leaves that to another program must leave this to it too.
// On other machines it does nothing.
func (g *Gate) UseBreakGlass() {
	if g.Config.UsesBreakGlass() {
		state := g.Config.Paths.State
		own := &lateLedger{open: func() (ledger.Store, error) { return ledger.OpenOwn(state) }}
		g.BreakGlass = &BreakGlass{Dir: g.Config.Paths.BreakGlass, Ledger: own}
	}
}

// What people are told, and asked.
const (
	BreakGlassPrompt = "Break-glass code: "
	askBreakGlass    = "Verification codes cannot be checked now. Type a break-glass code of this machine."
	noBreakGlass     = "That is no break-glass code. Type one as it was printed, with its dashes."
	wrongBreakGlass  = "That break-glass code is not right."
	usedBreakGlass   = "That break-glass code has been used on this machine. Take another one."
	wasPasswordAgain = "That was your password. Type a break-glass code here."
)

// isUnreachable says whether a login cannot be decided as what decides it cannot be
// reached, or as no ledger counts on this machine, or no secret file of the person, until
// those are moved, and nobody has begun to.
func isUnreachable(err error) bool {
	return errors.Is(err, errOnServers) || errors.Is(err, errElsewhere) || errors.Is(err, ledger.ErrUnreachable) || ledger.CountsNowhere(err) ||
		errors.Is(err, account.ErrLeft) || errors.Is(err, account.ErrForgotten) || errors.As(err, new(account.MovedError))
}

// undecided ends a login that nobody has been asked anything in, and that cannot be
// decided.
func (g *Gate) undecided(ctx context.Context, request Request, conversation Conversation, cause error) Verdict {
	if isUnreachable(cause) {
		return g.byBreakGlass(ctx, request, conversation, cause)
	}
	conversation.Tell(Failure, cannotDecide)
	return fault(cause)
}

// Unreachable decides a login that is for others to decide, of whom nobody can be
// reached and nobody has begun to: a person who has break-glass codes here is asked for
// one, and everybody else denied. cause says why, and rule what the log calls that.
func (g *Gate) Unreachable(ctx context.Context, request Request, conversation Conversation, rule string, cause error) (verdict Verdict) {
	defer func() {
		if panicked := recover(); panicked != nil {
			verdict = Verdict{Fault, "internal", fmt.Sprintf("panic: %v", panicked)}
		}
		g.conclude(&request, verdict)
	}()
	return g.byBreakGlass(ctx, request, conversation, blame{rule, cause})
}

// SplitUnreachable is Split for such a login. Where anybody has break-glass codes on this
// machine, whatever has the form of one is taken off, whoever's login it is: so nothing
// tells who has any before the password was found to be right.
func (g *Gate) SplitUnreachable(request Request, tails Tails, rule string, cause error) (n int, err error) {
	defer func() { n, err = g.splitEnds(request, n, err, recover()) }()
	return g.splitBreakGlass(tails, blame{rule, cause})
}

// mayAskBreakGlass says whether the login may turn out to be one in which a break-glass
// code is asked for, where nobody has looked yet: whether anybody has any here.
func (g *Gate) mayAskBreakGlass() bool {
	if g.BreakGlass == nil {
		return false
	}
	names, err := breakglass.Names(g.BreakGlass.Dir)
	return err == nil && len(names) > 0
}

// splitBreakGlass is how much of a password is a break-glass code. The error is cause
// where nobody has any.
func (g *Gate) splitBreakGlass(tails Tails, cause error) (n int, err error) {
	if g.BreakGlass == nil {
		return 0, cause
	}
	names, err := breakglass.Names(g.BreakGlass.Dir)
	switch {
	case errors.Is(err, breakglass.ErrHidden):
		return 0, cause
	case err != nil:
		return 0, wrongBreakGlassFiles(blame{audit.RuleBreakGlass, err}, cause)
	case len(names) == 0:
		return 0, cause
	}
	return breakGlassTail(tails)
}

// wrongBreakGlassFiles is for the log: what is wrong with the codes, and why they were needed.
func wrongBreakGlassFiles(err, cause error) error {
	return fmt.Errorf("%w; they were to be asked for as %w", err, bare(cause))
}

func breakGlassTail(tails Tails) (n int, err error) {
	text, has, err := tails.Tail(breakglass.Length, breakglass.Group, breakglass.Characters)
	switch {
	case err != nil:
		return 0, blame{"dialogue", fmt.Errorf("take the code off the password: %w", err)}
	case !has || !breakglass.IsCode(text):
		return 0, nil
	}
	return breakglass.Length, nil
}

// byBreakGlass asks for a break-glass code, if the person has any.
func (g *Gate) byBreakGlass(ctx context.Context, request Request, conversation Conversation, cause error) Verdict {
	codes, found, err := g.breakGlassOf(request.User)
	var entry ledger.Entry
	if found && err == nil {
		if entry, err = g.BreakGlass.Ledger.View(ctx, breakglass.Key(codes.User)); err != nil {
			err = blame{"ledger", fmt.Errorf("look up break-glass codes: %w", err)}
		}
	}
	switch {
	case errors.Is(err, breakglass.ErrHidden):
		// A core that an ordinary user's program has forked: it is the servers' to decide.
		conversation.Tell(Failure, cannotDecide)
		verdict := fault(cause)
		verdict.Reason += "; " + err.Error()
		return verdict
	case err != nil:
		conversation.Tell(Failure, cannotDecide)
		return fault(wrongBreakGlassFiles(err, cause))
	case !found:
		conversation.Tell(Failure, cannotDecide)
		return fault(cause)
	case codes.Left(entry) == 0:
		conversation.Tell(Failure, cannotDecide)
		verdict := fault(cause)
		verdict.Reason = "all break-glass codes of " + codes.User + " have been used on this machine; " + verdict.Reason
		return verdict
	}
	own := *g
	own.Ledger, own.Client = g.BreakGlass.Ledger, ""
	login := breakGlassLogin{Gate: &own, request: request, conversation: conversation, codes: codes, cause: bare(cause)}
	return login.ask(ctx, entry)
}

// bare is an error without what is to blame: another part is, or none.
func bare(err error) error {
	var to blame
	if errors.As(err, &to) {
		return to.error
	}
	return err
}

// breakGlassOf finds the codes of a person under the name that was given, or under the
// system's own spelling of it. Other names of the same uid have codes of their own.
func (g *Gate) breakGlassOf(user string) (codes breakglass.Codes, found bool, err error) {
	if g.BreakGlass == nil {
		return breakglass.Codes{}, false, nil
	}
	codes, err = breakglass.Load(g.BreakGlass.Dir, user)
	if errors.Is(err, breakglass.ErrNone) {
		// A name service that is down, as it may well be now, has no other spelling.
		if name, known, failed := g.Names.Canonical(user); failed == nil && known && name != user {
			codes, err = breakglass.Load(g.BreakGlass.Dir, name)
		}
	}
	switch {
	case errors.Is(err, breakglass.ErrNone):
		return breakglass.Codes{}, false, nil
	case err != nil:
		return breakglass.Codes{}, false, blame{audit.RuleBreakGlass, err}
	}
	return codes, true, nil
}

// breakGlassLogin is a login in which a break-glass code is asked for. Its gate has the
// machine's own ledger.
type breakGlassLogin struct {
	*Gate
	request      Request
	conversation Conversation
	codes        breakglass.Codes
	cause        error
	tries        tries
}

// ask asks until a code is right or the login's tries are spent.
func (l *breakGlassLogin) ask(ctx context.Context, entry ledger.Entry) Verdict {
	if verdict, decided := l.locked(ctx, entry); decided {
		return verdict
	}
	l.conversation.Tell(Info, askBreakGlass)
	for l.tries.sum() < l.Config.Policy.Attempts.PerLogin {
		answer, err := l.conversation.Ask(BreakGlassPrompt)
		if verdict, decided := l.answered(ctx, answer, err); decided {
			return verdict
		}
	}
	return Verdict{TooMany, "policy.attempts.per_login", l.because(l.tries.String())}
}

// because is for the log: what was, and why no server decided.
func (l *breakGlassLogin) because(what string) string {
	return what + "; a break-glass code was asked for as " + l.cause.Error()
}

// locked says whether wrong codes keep this login out.
func (l *breakGlassLogin) locked(ctx context.Context, entry ledger.Entry) (_ Verdict, decided bool) {
	var err error
	found := lock{key: breakglass.Key(l.codes.User)}
	found.until, err = l.lockOf(ctx, found.key, entry)
	if err == nil && found.until.IsZero() {
		found, err = l.firstLock(ctx, l.sourcesOf(l.request)...)
	}
	switch {
	case err != nil:
		l.conversation.Tell(Failure, cannotDecide)
		return fault(err), true
	case !found.until.IsZero():
		return l.tellLocked(l.conversation, found), true
	}
	return Verdict{}, false
}

// answered does with an answer what is to be done, and says whether that decides.
func (l *breakGlassLogin) answered(ctx context.Context, answer Answer, err error) (_ Verdict, decided bool) {
	switch {
	case err != nil:
		return Verdict{Deny, "no-answer", l.because(err.Error() + l.tries.before())}, true
	case answer.Password && l.request.AfterSplit && l.tries.sum() > 0:
		return Verdict{TooMany, "code", l.because(l.tries.String() + "; the host cannot ask for another one")}, true
	case answer.Password && (l.tries.password || l.request.AfterSplit):
		return Verdict{TooMany, "password-repeated", l.because("the host cannot ask for a code, and there was none behind the password" + l.tries.before())}, true
	case answer.Password:
		l.tries.password = true
		l.conversation.Tell(Failure, wasPasswordAgain)
		return Verdict{}, false
	}
	l.tries.password = false
	if !breakglass.IsCode(answer.Text) {
		l.tries.malformed++
		l.conversation.Tell(Failure, noBreakGlass)
		return Verdict{}, false
	}
	return l.try(ctx, answer.Text)
}

// tried is what became of a code.
type tried struct {
	outcome               factor.Outcome
	left                  int
	unseen, unseenOfPeers int
	lockedUntil           time.Time
}

// try checks one code. A person may type for minutes: codes that were taken away
// meanwhile are not good.
func (l *breakGlassLogin) try(ctx context.Context, code string) (_ Verdict, decided bool) {
	codes, found, err := l.breakGlassOf(l.codes.User)
	var before lock
	if err == nil {
		before, err = l.firstLock(ctx, l.sourcesOf(l.request)...)
	}
	switch {
	case err != nil:
		l.conversation.Tell(Failure, cannotDecide)
		return fault(err), true
	case !found:
		return Verdict{Deny, audit.RuleBreakGlass, l.because("the codes were taken away while one was typed")}, true
	case !before.until.IsZero():
		return l.tellLocked(l.conversation, before), true
	}
	l.codes = codes
	result, err := l.useUp(ctx, code)
	var locked lockedError
	switch {
	case errors.As(err, &locked):
		return l.tellLocked(l.conversation, lock{breakglass.Key(codes.User), locked.until}), true
	case err != nil:
		l.conversation.Tell(Failure, cannotDecide)
		return fault(blame{"ledger", err}), true
	case result.outcome == factor.Right:
		l.conversation.Tell(Info, fmt.Sprintf("Break-glass code accepted. You have %d left on this machine.", result.left))
		tellUnseen(l.conversation, result.unseen-l.tries.wrong, result.unseenOfPeers)
		return Verdict{Accept, audit.RuleBreakGlass, l.because(fmt.Sprintf("%d left", result.left))}, true
	case !result.lockedUntil.IsZero():
		return l.tellLocked(l.conversation, lock{breakglass.Key(codes.User), result.lockedUntil}), true
	case result.outcome == factor.Used:
		l.tries.used++
		l.conversation.Tell(Failure, usedBreakGlass)
	default:
		l.tries.wrong++
		l.conversation.Tell(Failure, wrongBreakGlass)
	}
	return Verdict{}, false
}

// useUp checks a code and, in the same change of the ledger, marks it as used or counts
// it as wrong, as for any other code.
func (l *breakGlassLogin) useUp(ctx context.Context, code string) (result tried, err error) {
	now := l.Now()
	err = l.Ledger.Update(ctx, breakglass.Key(l.codes.User), func(entry *ledger.Entry) error {
		counts := l.counts(*entry)
		if until := locked(counts.Attempts, now); !until.IsZero() {
			return lockedError{until}
		}
		result = tried{outcome: l.codes.Verify(code, entry)}
		switch result.outcome {
		case factor.Right:
			result.unseen = countRight(&counts.Attempts)
			l.setCounts(entry, counts)
			result.unseenOfPeers = l.seen(entry)
			entry.LastLogin = now.UTC().Truncate(time.Second)
			result.left = l.codes.Left(*entry)
		case factor.Used:
			// It could get nobody in, so it is no guess.
		default:
			limits := l.Config.Policy.Attempts
			countPerson(&counts.Attempts, limits.PerWindow, limits.Window, now)
			l.setCounts(entry, counts)
			result.lockedUntil = locked(counts.Attempts, now)
		}
		return nil
	})
	if err != nil || result.outcome != factor.Wrong {
		return result, err
	}
	return result, l.countSource(ctx, l.request, now)
}
