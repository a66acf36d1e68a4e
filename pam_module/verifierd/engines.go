package main

import (
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/transport"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/remotelogin"
)

// engines keeps the engine of the configuration as it is in the file. It looks
// at the file's state before each login, so that a change holds from the next
// one on, as it does where a core is forked.
type engines struct {
	path string // as for config.Load
	sink audit.Sink
	// allow is who may ask for anybody.
	allow *allowList
	// gateway is who may ask for clients, portal who asks for the page for people.
	gateway, portal *allowList
	now             func() time.Time

	mu     sync.Mutex
	page   bool // whether the page is answered here
	seen   config.State
	engine *gate.Gate
	err    error
	// servers decide on a client, nil elsewhere.
	servers *remotelogin.Servers
}

func newEngines(path string, sink audit.Sink, names names) *engines {
	tell := func(reason string) {
		sink.Write(audit.Record{Verdict: "fault", Rule: "configuration", Reason: reason})
	}
	return &engines{path: path, sink: sink, now: time.Now, allow: newAllowList("verifier.allow", names, tell), gateway: newAllowList("gateway.user", names, tell), portal: newAllowList("the page's user", names, tell)}
}

// isFor says whether a front that names this configuration can be answered.
func (e *engines) isFor(path string) bool {
	return path == e.path || (path == "" && e.path == config.DefaultPath) || (path == config.DefaultPath && e.path == "")
}

// current returns the engine for the file as it is now. A file that is wrong
// denies, as it does everywhere. slow is called before anything that may take
// long.
func (e *engines) current(slow func()) (*gate.Gate, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, err := config.StateOf(e.path)
	if err != nil {
		return nil, err
	}
	// What is wrong may be in a file that the configuration names.
	if now != e.seen || e.engine == nil {
		slow()
		e.load(now, false)
	}
	return e.engine, e.err
}

// reload reads the file whether it has changed or not: users may have come or
// gone that it names.
func (e *engines) reload() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, err := config.StateOf(e.path)
	if err != nil {
		return err
	}
	e.load(now, true)
	return e.err
}

// load must be called with the lock, so it asks no name service itself. Dialogues
// that are under way keep the engine they have. seen is the file's state from
// before it is read, and anew has the users of verifier.allow looked up that were
// there before too.
func (e *engines) load(seen config.State, anew bool) {
	e.seen = config.State{}
	if seen.Settled(e.now()) {
		e.seen = seen
	}
	e.engine, e.err = gate.Open(e.path, e.sink)
	if e.err != nil {
		e.engine = nil
		return
	}
	e.engine.Sender = e.sender(e.engine.Config)
	e.engine.Invite = invitation.AtLogin
	e.engine.UseBreakGlass()
	e.allow.set(e.engine.Config.Verifier.Allow, anew)
	var gateway []string
	if e.engine.Config.Gateway != nil {
		gateway = []string{e.engine.Config.Gateway.User}
	}
	e.gateway.set(gateway, anew)
	e.setPage(anew)
	e.setServers(e.engine.Config.Remote)
}

// answerPage has the page's user looked up from now on. Whoever has no socket of the
// page's needs no such user, and does not miss one.
func (e *engines) answerPage() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.page = true
	e.setPage(true)
}

// setPage must be called with the lock.
func (e *engines) setPage(anew bool) {
	var users []string
	if e.page && e.engine != nil && e.engine.Config.Portal != nil {
		users = []string{portalUser}
	}
	e.portal.set(users, anew)
}

// setServers keeps the connections to servers as long as those are the same.
func (e *engines) setServers(settings *config.Remote) {
	if settings != nil && e.servers != nil && e.servers.IsFor(*settings) {
		return
	}
	if e.servers != nil {
		e.servers.Close()
		e.servers = nil
	}
	if settings != nil {
		e.servers = remotelogin.New(*settings, e.sink)
	}
}

// listens says whether servers may connect to this machine, which must go on then.
func (e *engines) listens() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.engine != nil && e.engine.Config.Remote != nil && len(e.engine.Config.Remote.Listen) > 0
}

// remote are the servers that decide, nil where this machine does.
func (e *engines) remote() *remotelogin.Servers {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.servers
}

// sender sends the codes of a configuration. As long as it cannot, it denies
// those who need it, and nobody else.
func (e *engines) sender(settings config.Config) deliver.Sender {
	if settings.Email == nil && settings.SMS == nil {
		return nil
	}
	sender, err := transport.New(settings)
	if err != nil {
		e.sink.Write(audit.Record{Verdict: "fault", Rule: "configuration", Reason: err.Error()})
	}
	return sender
}
