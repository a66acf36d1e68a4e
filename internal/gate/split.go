package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Tails gives ends of the password of a login that nobody can be asked in: a
// code is typed behind the password there.
type Tails interface {
	// Tail returns the last n bytes of the password. found is false unless all
	// of them are in alphabet, which is ASCII, but for a dash behind each group
	// of them if group is not 0, and something is left of the password. The
	// error means that there is nobody to ask.
	Tail(n, group int, alphabet string) (text string, found bool, err error)
}

// Split says how many bytes at the end of the password are a code, 0 if none
// are. It comes before the password stage, so it decides nothing: nothing is
// written, counted or told, and only a fault leaves an audit line. Nothing is taken
// off unless the policy asks a code of this login, so that a password
// which itself ends like a code keeps working everywhere else.
func (g *Gate) Split(ctx context.Context, request Request, tails Tails) (n int, err error) {
	defer func() { n, err = g.splitEnds(request, n, err, recover()) }()
	need, person, err := g.needBy(request, g.findSoon)
	if isUnreachable(err) {
		return g.splitBreakGlass(tails, err)
	}
	if err != nil || need.Code != Asked {
		return 0, err
	}
	entry, err := g.waiting(ctx, request, person)
	if isUnreachable(err) {
		return g.splitBreakGlass(tails, err)
	}
	if err != nil {
		return 0, err
	}
	session, found := g.session(request, person, entry)
	for _, form := range g.forms(request, person, entry, found) {
		if err := ctx.Err(); err != nil {
			return 0, blame{"dialogue", fmt.Errorf("take the code off the password: %w", err)}
		}
		text, has, err := tails.Tail(form.length, form.group, form.alphabet)
		if err != nil {
			return 0, blame{"dialogue", fmt.Errorf("take the code off the password: %w", err)}
		}
		taken := has && form.matches(text)
		if taken && found {
			taken = g.isCode(request, person, text, session, entry)
		}
		if taken {
			return form.length, nil
		}
	}
	return 0, nil
}

// splitEnds is what becomes of a split, which may have panicked: a fault has its line in
// the log, with the login that it was.
func (g *Gate) splitEnds(request Request, n int, err error, panicked any) (int, error) {
	if panicked != nil {
		n, err = 0, fmt.Errorf("panic: %v", panicked)
	}
	if err != nil {
		g.Audit.Write(record(g.protocol(request), request, fault(err)))
	}
	return n, err
}

// waiting is the person's entry in the ledger, if something in it can matter: a
// session, or a code that was sent.
func (g *Gate) waiting(ctx context.Context, request Request, person account.Person) (ledger.Entry, error) {
	_, sent := firstSent(person)
	if _, _, span := g.sessionScope(request); !sent && span <= 0 {
		return ledger.Entry{}, nil
	}
	entry, err := g.Ledger.View(ctx, ledger.UserKey(person.User))
	if err != nil {
		return ledger.Entry{}, blame{"ledger", fmt.Errorf("look up the person: %w", err)}
	}
	return entry, nil
}

// isCode says whether text is a code and not the end of a password, where the
// login is remembered and either may come: it is the code that opened the
// session, which clients go on sending, or one that is right or was.
//
// Whoever has the password could try ends of it until one is taken off. That one
// is of no use: the line that asks, which comes after the password was found to
// be right, uses it up. A server that was taken over need not come to that line,
// so how often it may try is bounded.
func (g *Gate) isCode(request Request, person account.Person, text string, session ledger.Session, entry ledger.Entry) bool {
	if isOpener(session, person, text) {
		return true
	}
	if !g.mayLook(person, text) {
		return false
	}
	now := g.Now()
	outcome, _ := g.verify(person, text, now, &entry)
	if outcome == factor.Wrong {
		outcome = factor.VerifyCarried(person.User, g.purpose(request, enrollmentOf(person)), text, now, &entry)
	}
	g.looked(person, text, outcome)
	return outcome != factor.Wrong
}

// looker names whose looks are counted, "" for root's programs of this machine. A
// client that was taken over says of each of its programs that it is root's.
func (g *Gate) looker() string {
	if g.Client != "" {
		return "client " + g.Client
	}
	return g.Peer
}

// mayLook counts a look at a code for a program that is not root's here.
func (g *Gate) mayLook(person account.Person, text string) bool {
	switch {
	case g.looker() == "":
		return true
	case g.SplitBudget == nil:
		return false
	}
	return g.SplitBudget.take(g.looker(), person.User, text, g.Config.Policy.Attempts.PerWindow, g.Now())
}

// looked notes what such a look has found.
func (g *Gate) looked(person account.Person, text string, outcome factor.Outcome) {
	if g.looker() != "" {
		g.SplitBudget.found(g.looker(), person.User, text, outcome != factor.Wrong)
	}
}

// EndsLikeCode says whether Split may take something off such a password,
// whoever it is of. A host that tries the whole password after the rest of it
// was wrong takes longer then, which must not tell who is enrolled.
func (g *Gate) EndsLikeCode(tails Tails) (bool, error) {
	settings := g.Config.Sent
	for _, form := range []form{
		{config.MinDigits, 0, "0123456789", func(string) bool { return true }},
		scratchForm, recoveryForm,
		{settings.Length, 0, settings.Alphabet, func(string) bool { return g.Sender != nil }},
	} {
		text, has, err := tails.Tail(form.length, form.group, form.alphabet)
		if err != nil || has && form.matches(text) {
			return err == nil, err
		}
	}
	return false, nil
}

var (
	scratchForm  = form{factor.ScratchLength, factor.ScratchGroup, factor.ScratchCharacters, factor.IsScratch}
	recoveryForm = form{factor.RecoveryLength, factor.RecoveryGroup, factor.RecoveryCharacters, factor.IsRecovery}
)

// form is what one kind of code looks like.
type form struct {
	length   int // bytes, at most wire.MaxTail
	group    int // bytes between two dashes; 0: there are none
	alphabet string
	matches  func(text string) bool
}

// forms are those of the person's codes, the longest first: the end of a
// longer code may look like a shorter one. Where codes are sent, a password
// without one is how the person asks for one, so that form counts only while
// one is on its way or the login is remembered.
func (g *Gate) forms(request Request, person account.Person, entry ledger.Entry, remembered bool) []form {
	var all []form
	for _, f := range person.Confirmed() {
		if !f.Kind.IsSent() {
			all = append(all, form{f.Digits, 0, "0123456789", func(text string) bool { return factor.IsCode(f, text) }})
		}
	}
	all = append(all, prefixForms(person)...)
	_, sent := firstSent(person)
	if sent && (remembered || factor.Waits(entry, g.purpose(request, enrollmentOf(person)), g.Now())) {
		settings := g.Config.Sent
		all = append(all, form{settings.Length, 0, settings.Alphabet, func(text string) bool { return factor.IsSent(settings, text) }})
	}
	// Without its dash a scratch code could not be told from a shorter code and
	// the last digits of a password, as many passwords end in digits. To look
	// which it is would let whoever has the password guess for nothing.
	if factor.HasScratch(person) {
		all = append(all, scratchForm)
	}
	if factor.HasOwnRecovery(person) || g.mayAskBreakGlass() {
		all = append(all, recoveryForm) // which is that of break-glass codes too
	}
	slices.SortStableFunc(all, func(a, b form) int { return b.length - a.length })
	return slices.CompactFunc(all, func(a, b form) bool { return a.length == b.length && a.group == b.group && a.alphabet == b.alphabet })
}

// prefixForms are those of codes behind what the person's tokens type first. All
// have one alphabet, as forms of one length are asked for once.
func prefixForms(person account.Person) (all []form) {
	alphabet := "0123456789"
	matches := func(text string) bool {
		return slices.ContainsFunc(person.Confirmed(), func(f account.Factor) bool {
			return f.Prefix != "" && strings.HasPrefix(text, f.Prefix) && factor.IsCode(f, text)
		})
	}
	for _, f := range person.Confirmed() {
		for _, c := range f.Prefix {
			if !strings.ContainsRune(alphabet, c) {
				alphabet += string(c)
			}
		}
	}
	for _, f := range person.Confirmed() {
		if f.Prefix != "" {
			all = append(all, form{len(f.Prefix) + f.Digits, 0, alphabet, matches})
		}
	}
	return all
}
