// Package gate decides logins. It is the one engine behind the PAM module and
// every other way in.
//
// The entry point is [Gate.Login], which reads top to bottom: who is it, does
// the policy want a code, is there a right to try, is the code good. It
// promises that doubt of any kind denies, that a code's use is on disk before
// the verdict is out, and that each decision leaves one audit line which names
// the rule that decided.
package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Gate is the engine with all it needs. Every field must be set but Host, Peer, OwnPrograms,
// SplitBudget, Sender, Invite, Client, Withdrawn, BreakGlass and, where nothing is shared, Elsewhere.
type Gate struct {
	Config   config.Config
	Accounts Accounts
	Ledger   ledger.Store
	Names    Names
	Audit    audit.Sink
	Now      func() time.Time
	// Host is what this machine is called among a person's last logins.
	Host string
	// Peer names whose programs ask, if not root's. What they cause counts apart,
	// for each of them, and keeps nobody else out.
	Peer string
	// OwnPrograms says that the peer is an ordinary user, who may ask for nobody
	// else. By which service the login came is then that user's word alone.
	OwnPrograms bool
	// SplitBudget bounds what such a program can find out about codes that nobody has
	// given yet, see [Gate.Split]. Without it, it is told nothing of those.
	SplitBudget *SplitBudget
	// Sender sends codes. Without one nothing can be sent, and who needs that
	// is denied.
	Sender deliver.Sender
	// Invite mails links to people who must enroll and have not. Without one nobody is.
	Invite Inviter
	// Client is the machine whose login it is, if not this one. Wrong codes that come
	// from it count together too, and ClientWrong of them lock its logins. It has at
	// most ClientSends codes sent in an hour.
	Client                   string
	ClientWrong, ClientSends int
	// Withdrawn says by which rule the client may not ask this any more, if it may
	// not. It is asked for each answer before that counts: a person may type for
	// minutes.
	Withdrawn func() (rule, reason string)
	// BreakGlass is how people get in while what decides their logins cannot be
	// reached, see [Gate.UseBreakGlass].
	BreakGlass *BreakGlass
	// Elsewhere says whether other servers have people in the ledger that they share with
	// this one, and fails with a [casledger.NotKnownError] where nobody could tell. It must be set
	// where this one shares it and has files of its own.
	Elsewhere func(ctx context.Context) (bool, error)
}

// Accounts finds a person's secret file. The error wraps account.ErrNotFound
// if, and only if, it is certain that there is none.
type Accounts interface {
	Load(name string) (account.Person, error)
}

// reloader is what Accounts may be in addition, to look again at a person
// without reading what has not changed. Its errors are those of Load.
type reloader interface {
	Reload(known account.Person) (account.Person, error)
}

// liker is what Accounts may be in addition, to find secret files whose names
// differ from a name in their cases alone.
type liker interface {
	Like(name string) ([]string, error)
}

// Request is a login that has come to the code. Whether its password was right
// the gate is not told: libpam says so to no module, and a stack may go on after
// a wrong one (docs/pam-stacks.md).
type Request struct {
	User       string
	Service    string          // PAM service
	Protocol   config.Protocol // if the way in knows it; it wins over the service's
	RemoteHost string          // an address, or a name from hosts that look it up
	TTY        string
	// AfterSplit says that the stack takes codes off the password, CodeBehind
	// that there was one; then it is the conversation's first answer.
	AfterSplit, CodeBehind bool
	// Unproven says that what came before is somebody's word alone. The code is
	// all there is then, so it must be of a factor that was there before.
	Unproven bool
}

// Decision is what becomes of a login. The zero value denies.
type Decision uint8

// The decisions.
const (
	Deny     Decision = iota
	Accept            // a code was given and was right
	NotAsked          // the policy asks no code of this login
	TooMany           // denied, and asking again is of no use
	Fault             // denied, as it could not be decided
)

func (d Decision) String() string {
	switch d {
	case Accept:
		return "accepted"
	case NotAsked:
		return "not-asked"
	case Fault:
		return "fault"
	}
	return "denied"
}

// Verdict is a decision with what decided it.
type Verdict struct {
	Decision Decision
	Rule     string // a key of the configuration, a factor, or what went wrong
	Reason   string // more for the admin
}

// Login decides one login, asking through conversation where it must.
func (g *Gate) Login(ctx context.Context, request Request, conversation Conversation) Verdict {
	guard := g.guard(&conversation)
	verdict := guard.apply(g.decide(ctx, &request, conversation))
	g.conclude(&request, verdict)
	return verdict
}

// MayNotAsk is what people are told at a client that may not ask for their codes,
// whoever they are.
const MayNotAsk = "This machine may not ask for your verification code. Please tell your administrator."

// guard lets no answer count that came by a client which may not ask any more: its
// file may be changed or removed while somebody types.
type guard struct {
	Conversation
	withdrawn    func() (rule, reason string)
	rule, reason string
}

var errWithdrawn = errors.New("the client may not ask this any more")

// guard puts itself in the conversation's place if there is something to look at.
func (g *Gate) guard(conversation *Conversation) *guard {
	if g.Withdrawn == nil {
		return nil
	}
	guarded := &guard{Conversation: *conversation, withdrawn: g.Withdrawn}
	*conversation = guarded
	return guarded
}

// Ask implements [Conversation].
func (g *guard) Ask(prompt string) (Answer, error) {
	if g.rule != "" {
		return Answer{}, errWithdrawn
	}
	answer, err := g.Conversation.Ask(prompt)
	if err != nil {
		return answer, err
	}
	if g.rule, g.reason = g.withdrawn(); g.rule != "" {
		g.Tell(Failure, MayNotAsk)
		return Answer{}, errWithdrawn
	}
	return answer, nil
}

// apply is the verdict in the light of that.
func (g *guard) apply(verdict Verdict) Verdict {
	if g == nil || g.rule == "" {
		return verdict
	}
	return Verdict{Deny, g.rule, g.reason}
}

func (g *Gate) conclude(request *Request, verdict Verdict) {
	g.Audit.Write(record(g.protocol(*request), *request, verdict))
}

func (g *Gate) decide(ctx context.Context, request *Request, conversation Conversation) (verdict Verdict) {
	defer func() {
		if panicked := recover(); panicked != nil {
			verdict = Verdict{Fault, "internal", fmt.Sprintf("panic: %v", panicked)}
		}
	}()
	asked, verdict := g.byPolicy(ctx, *request, conversation)
	if asked != nil {
		return asked.ask(ctx)
	}
	return verdict
}

// byPolicy is the dialogue of a login in which a code is asked for, and what becomes
// of any other one. It has ended while a person types, as have others that need
// much of the stack: in the verifier hundreds may wait.
func (g *Gate) byPolicy(ctx context.Context, request Request, conversation Conversation) (*dialogue, Verdict) {
	need, person, err := g.need(ctx, request)
	if err == nil && need.Code != NoCode && need.Code != Asked {
		need, err = g.grace(ctx, need, person)
	}
	if err != nil {
		return nil, g.undecided(ctx, request, conversation, err)
	}
	switch need.Code {
	case NoCode:
		return nil, Verdict{NotAsked, need.Rule, need.Reason}
	case InGrace:
		return nil, g.inGrace(ctx, request, need, person, conversation)
	case Enrolling:
		return nil, g.enrollNow(ctx, request, person, conversation)
	case Inviting:
		return nil, g.inviteNow(ctx, request, need, person, conversation)
	case Asked:
		return &dialogue{Gate: g, request: request, person: person, conversation: conversation}, Verdict{}
	}
	conversation.Tell(Failure, refusedUnenrolled)
	return nil, Verdict{Deny, need.Rule, need.Reason}
}

// Refuse denies a login for which no gate could be opened, and audits it. rule
// says what stood in the way.
func Refuse(sink audit.Sink, request Request, conversation Conversation, rule string, err error) Verdict {
	verdict := fault(blame{rule, err})
	conversation.Tell(Failure, cannotDecide)
	sink.Write(record(request.Protocol, request, verdict))
	return verdict
}

// blame is an error with the part of the system that the admin has to mend;
// the audit line has it as the rule.
type blame struct {
	rule string
	error
}

func (b blame) Unwrap() error { return b.error }

func fault(err error) Verdict {
	verdict := Verdict{Fault, "internal", err.Error()}
	var to blame
	if errors.As(err, &to) {
		verdict.Rule = to.rule
	}
	return verdict
}

// note writes a line about something that a login brought with it.
func (g *Gate) note(request Request, what, rule, reason string) {
	line := record(g.protocol(request), request, Verdict{Rule: rule, Reason: reason})
	line.Verdict = what
	g.Audit.Write(line)
}

func record(protocol config.Protocol, request Request, verdict Verdict) audit.Record {
	return audit.Record{
		User: request.User, Service: request.Service, Protocol: string(protocol), Remote: request.RemoteHost, TTY: request.TTY,
		Verdict: verdict.Decision.String(), Rule: verdict.Rule, Reason: verdict.Reason,
	}
}
