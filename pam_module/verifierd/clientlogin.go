package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/fronts"
	"github.com/otpgate/otpgate/pam_module/serve"
)

// answerGateway answers the gateway, which is believed in one thing: which client asks.
// What that client may ask for is in its file, which is read here. Nothing that
// anybody could see is done before the client begins: it may still turn to another
// server.
func (s *server) answerGateway(conn *fronts.Conn, _ uint32, who *peerCount) error {
	if err := conn.SetDeadline(time.Now().Add(s.admission.limits.opening)); err != nil {
		return err
	}
	stream := newStream(conn)
	take, err := remotewire.ReadTake(stream)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && take.Client == "" {
		err = fmt.Errorf("%w: a login of no client", wire.ErrProtocol)
	}
	if err != nil {
		return fmt.Errorf("open dialogue: %w", err)
	}
	login := clientLogin{server: s, take: take, out: who.sink(s.sink.Sink)}
	answer := login.taken()
	if err := remotewire.WriteAnswer(stream, answer); err != nil || !answer.Taken {
		return err
	}
	begin, err := remotewire.ReadBegin(stream)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open dialogue: %w", err)
	}
	if begin.Start.Timeout == 0 {
		begin.Start.Timeout = s.admission.limits.dialogue
	}
	started := time.Now()
	if err := conn.SetDeadline(started.Add(begin.Start.Timeout)); err != nil {
		return err
	}
	defer func() { s.sink.metrics.dialogue(time.Since(started)) }()
	return login.answer(stream, begin)
}

// clientLogin is one login of a client's.
type clientLogin struct {
	server *server
	take   remotewire.Take
	client clients.Client
	engine *gate.Gate
	out    audit.Sink
}

// sink is the log for the login's lines. The service is the client's word, who could
// make up more than are counted apart.
func (l *clientLogin) sink() counting {
	return counting{Sink: l.out, metrics: l.server.sink.metrics, unprivileged: true, client: l.take.Client, id: l.take.ID.String()}
}

// busy says in the log why a login is not taken, and to the client in few words.
func (l *clientLogin) busy(rule string, err error, words string) remotewire.Answer {
	l.sink().Write(audit.Record{Verdict: "fault", Rule: rule, Reason: err.Error()})
	return remotewire.Answer{Busy: words}
}

// taken says whether the login can be decided here.
func (l *clientLogin) taken() remotewire.Answer {
	engine, err := l.server.engines.current(func() {})
	if err == nil && engine.Config.Gateway == nil {
		err = errors.New("there is no [gateway]")
	}
	if err != nil {
		return l.busy("configuration", err, "its configuration cannot be used")
	}
	if l.client, err = l.server.clients.Load(engine.Config.Gateway.Clients, l.take.Client); err != nil {
		return l.busy("gateway.clients", err, "this machine's file there cannot be used")
	}
	identified, can := engine.Ledger.(ledger.Identified)
	if !can {
		return l.busy("ledger", errors.New("it has no id"), "its ledger is out of reach")
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.server.admission.limits.opening)
	defer cancel()
	id, err := identified.ID(ctx)
	if err != nil {
		return l.busy("ledger", err, "its ledger is out of reach")
	}
	l.engine = engine
	return remotewire.Answer{Taken: true, Ledger: id, Clock: engine.Now()}
}

// answer has the engine decide, as far as the client may ask.
func (l *clientLogin) answer(stream *stream, begin remotewire.Begin) error {
	start := &begin.Start
	// What these say is the client's own business.
	start.Config, start.Debug, start.RemoteUser, start.Rule = "", false, "", false
	engine := l.engineFor(start, begin)
	engine.Withdrawn = func() (rule, reason string) { return l.refusal(engine, begin) }
	sink := l.sink()
	sink.services = engine.Config.Services
	rule := new(string)
	log, out := ruleSink{sink, rule}, verdictStream{stream, rule}
	engine.Audit = log
	if rule, reason := engine.Withdrawn(); rule != "" {
		return l.deny(out, log, begin, rule, reason)
	}
	open := func(wire.Start, audit.Sink) (*gate.Gate, string, error) { return engine, "configuration", nil }
	return serve.Answer(context.Background(), out, start, open, log)
}

// engineFor is the engine as it is for that login.
func (l *clientLogin) engineFor(start *wire.Start, begin remotewire.Begin) *gate.Gate {
	own := *l.engine
	own.Client, own.ClientWrong, own.ClientSends, own.SplitBudget = l.client.Client, l.client.WrongCodes, l.client.SendsPerHour, l.server.splitBudget
	own.Names = gate.ClientNames{User: start.User, Names: begin.Names, Groups: gate.System{Limit: l.server.limits.of(l.client.Client)}}
	// Codes of this machine's are for logins to it. The client has its own, for when no
	// server takes the login.
	own.BreakGlass = nil
	policy := &own.Config.Policy
	if begin.Program != remotewire.RootProgram {
		// As on one machine: no password was shown, and what such programs cause counts
		// apart. It is one count for a client's, which could make up users.
		own.Peer = "client " + l.client.Client
	}
	if begin.Program == remotewire.OwnProgram {
		own.OwnPrograms, start.RemoteHost = true, ""
	}
	if own.Peer != "" || policy.Unenrolled == config.Enroll && !l.client.Enroll || policy.Unenrolled == config.Invite && !l.client.Send {
		policy.Unenrolled = policy.Unenrolled.WithoutProof()
	}
	if !l.client.Enroll {
		policy.Grace = config.Grace{}
	}
	if !l.client.Send {
		own.Sender = nil
	}
	return &own
}

// refusal says by which key of its file a client may not ask this, as that is now.
func (l *clientLogin) refusal(engine *gate.Gate, begin remotewire.Begin) (rule, reason string) {
	client, err := l.server.clients.Load(engine.Config.Gateway.Clients, l.client.Client)
	if err != nil {
		return "gateway.clients", err.Error()
	}
	if service := begin.Start.Service; !client.MayAskFor(service) {
		return "client.services", fmt.Sprintf("%s is not in services of the client's file", service)
	}
	for _, name := range namesToCheck(engine, begin) {
		if may, err := mayAskForUser(client, engine.Names, name); !may {
			reason := fmt.Sprintf("%s is not in users of the client's file", name)
			if err != nil {
				reason += fmt.Sprintf(", as far as is known: %v", err)
			}
			return "client.users", reason
		}
	}
	return "", ""
}

// namesToCheck are all by which a secret file could be found: each must be one that
// the client may ask for. A name that differs from the client's own spelling of it in
// its cases alone is the same person's, if nobody has a file under it.
func namesToCheck(engine *gate.Gate, begin remotewire.Begin) []string {
	if len(begin.Names) > 0 && strings.EqualFold(begin.Names[0], begin.Start.User) {
		if _, err := engine.Accounts.Load(begin.Start.User); errors.Is(err, account.ErrNotFound) {
			return begin.Names
		}
	}
	return append([]string{begin.Start.User}, begin.Names...)
}

func mayAskForUser(client clients.Client, groups gate.Names, name string) (bool, error) {
	if client.Users == nil {
		return true, nil
	}
	var doubt error
	for _, selector := range client.Users {
		if selector == config.All || string(selector) == name {
			return true, nil
		}
		if group := selector.Group(); group != "" {
			in, err := groups.InGroup(name, group)
			if in && err == nil {
				return true, nil
			}
			doubt = errors.Join(doubt, err)
		}
	}
	return false, doubt
}

// deny ends a login that the client may not ask for. Before the password, nothing is
// told and nothing taken off.
func (l *clientLogin) deny(out io.ReadWriter, log audit.Sink, begin remotewire.Begin, rule, reason string) error {
	start, peer := begin.Start, wire.Peer{Stream: out}
	if start.Split {
		return peer.End(wire.Ignore)
	}
	log.Write(audit.Record{
		User: start.User, Service: start.Service, Protocol: start.Protocol, Remote: start.RemoteHost, TTY: start.TTY,
		Verdict: gate.Deny.String(), Rule: rule, Reason: reason,
	})
	_ = peer.Tell(wire.Failure, gate.MayNotAsk) // who is gone misses nothing
	return peer.End(wire.Deny)
}

// clientLimits bounds what each client has name services asked: one that was taken
// over can make up names at which a service hangs.
type clientLimits struct {
	mu sync.Mutex
	by map[string]*nss.Limit
}

// namesOfClient is how many questions one client has under way, of the 256 that a
// process may have.
const namesOfClient = 32

func (c *clientLimits) of(client string) *nss.Limit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]*nss.Limit{}
	}
	if c.by[client] == nil {
		c.by[client] = nss.NewLimit(namesOfClient)
	}
	return c.by[client]
}
