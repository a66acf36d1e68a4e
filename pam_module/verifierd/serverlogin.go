package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/remotelogin"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/serve"
)

// answerAtServers answers a front on a client. What the policy decides by itself is decided
// here, so that those who are never asked get in while no server answers; a server
// decides the rest. The front has been told that its login is taken: a core that it
// could fork could do no more.
func (s *server) answerAtServers(stream *stream, out io.ReadWriter, start *wire.Start, open serve.Opener, sink audit.Sink) error {
	end := time.Now().Add(start.Timeout)
	engine, request, _, err := serve.Prepare(start, open, sink)
	if err != nil || engine.DecidedHere(request) {
		return serve.Answer(context.Background(), out, start, open, sink)
	}
	if err := stream.announce(); err != nil {
		return nil
	}
	if start.Protocol == "" {
		start.Protocol = string(engine.Config.Services[start.Service])
		request.Protocol = engine.Config.Services[start.Service]
	}
	servers := s.engines.remote()
	if servers == nil {
		return serve.Refuse(out, start, request, sink, "remote", errors.New("the configuration has changed; try again"))
	}
	login := serverLogin{out: out, start: start, request: request, id: remotewire.NewID(), sink: sink, engine: engine}
	return login.decide(servers, remotewire.Begin{Start: *start, Program: programOf(engine)}, end)
}

// programOf says whose program asks, as engineFor found out.
func programOf(engine *gate.Gate) remotewire.Program {
	switch {
	case engine.OwnPrograms:
		return remotewire.OwnProgram
	case engine.Peer != "":
		return remotewire.AllowedProgram
	}
	return remotewire.RootProgram
}

// isUnprivileged says whether anybody on the machine, or whoever can reach its password
// prompt, can begin such a login as often as it likes.
func isUnprivileged(begin remotewire.Begin) bool {
	return begin.Program != remotewire.RootProgram || begin.Start.Split
}

// serverLogin is one login that a server decides.
type serverLogin struct {
	out     io.ReadWriter
	start   *wire.Start
	request gate.Request
	id      remotewire.ID
	sink    audit.Sink
	server  string
	// engine is this machine's own, which decides where no server can be reached.
	engine *gate.Gate
}

func (l *serverLogin) decide(servers *remotelogin.Servers, begin remotewire.Begin, end time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	// A name service that does not answer is no reason here not to look for a server:
	// it mostly is down with them, and without any server nobody needs the names. But
	// the login counts as open until it has answered, as such logins would pile up.
	looked := lookUp(l.engine, l.start.User)
	defer func() { <-looked.done }()
	taken, err := l.take(ctx, servers, isUnprivileged(begin), looked)
	var unreachable remotelogin.UnreachableError
	switch {
	case errors.As(err, &unreachable):
		return l.unreachable(ctx, err)
	case errors.Is(err, errNamesLate):
		return serve.Refuse(l.out, l.start, l.request, l, "name-service", err)
	case err != nil:
		return l.refuse(err)
	}
	if begin.Names, err = looked.result(ctx); err != nil {
		taken.Drop()
		return serve.Refuse(l.out, l.start, l.request, l, "name-service", err)
	}
	l.server = taken.Server
	outcome, err := taken.Run(begin, wire.Peer{Stream: l.out}, end)
	var engine remotewire.EngineError
	switch {
	case errors.As(err, &engine):
		return l.refuse(err)
	case err != nil:
		l.log("denied", "no-answer", "the person or the host went away at the prompt")
		return nil
	}
	if !l.start.Split || outcome.Verdict == wire.Fault {
		l.log(verdictOf(outcome.Verdict), outcome.Rule, "")
	}
	return remotewire.EndFront(wire.Peer{Stream: l.out}, outcome)
}

// take finds a server that takes the login. One that would have to wait for a name
// service of this machine is let go of, and asked again afterwards, which its per_minute
// counts as another login.
func (l *serverLogin) take(ctx context.Context, servers *remotelogin.Servers, unprivileged bool, looked *lookup) (*remotelogin.Taken, error) {
	take := remotewire.Take{ID: l.id, Unprivileged: unprivileged}
	taken, err := servers.Take(ctx, take)
	if err != nil || looked.within(namesLate) {
		return taken, err
	}
	taken.Drop()
	if _, err := looked.result(ctx); errors.Is(err, errNamesLate) {
		return nil, err
	}
	return servers.Take(ctx, take)
}

// Write implements audit.Sink: each line names the login as the server's log does.
func (l *serverLogin) Write(r audit.Record) {
	r.Server, r.ID = l.server, l.id.String()
	l.sink.Write(r)
}

// unreachable decides while no server can be reached.
func (l *serverLogin) unreachable(ctx context.Context, cause error) error {
	own := *l.engine
	own.Audit = l
	return serve.Unreachable(ctx, l.out, l.start, l.request, &own, "remote", cause)
}

func (l *serverLogin) refuse(err error) error {
	return serve.Refuse(l.out, l.start, l.request, l, "remote", err)
}

func (l *serverLogin) log(verdict, rule, reason string) {
	if rule == "" {
		rule = "remote"
	}
	l.Write(audit.Record{
		User: l.request.User, Service: l.request.Service, Protocol: string(l.request.Protocol), Remote: l.request.RemoteHost, TTY: l.request.TTY,
		Verdict: verdict, Rule: rule, Reason: reason,
	})
}

// verdictOf is how the log calls what a server decided.
func verdictOf(verdict wire.Verdict) string {
	switch verdict {
	case wire.Accept:
		return gate.Accept.String()
	case wire.Ignore:
		return gate.NotAsked.String()
	case wire.Fault:
		return gate.Fault.String()
	}
	return gate.Deny.String()
}
