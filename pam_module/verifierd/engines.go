package main

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/transport"
	"github.com/otpgate/otpgate/internal/gate"
)

// engines keeps the engine of the configuration as it is in the file. It looks
// at the file's state before each login, so that a change holds from the next
// one on, as it does where a core is forked.
type engines struct {
	path string // as for config.Load
	sink audit.Sink

	mu     sync.Mutex
	seen   config.State
	engine *gate.Gate
	err    error
	// allow is who may ask for anybody. It can be read without the lock, as who
	// has that may be reading a file or asking a name service.
	allow atomic.Pointer[[]uint32]
	// unknown are names in verifier.allow that the log has been told of.
	unknown []string
}

// isFor says whether a front that names this configuration can be answered.
func (e *engines) isFor(path string) bool {
	return path == e.path || (path == "" && e.path == config.DefaultPath) || (path == config.DefaultPath && e.path == "")
}

// current returns the engine for the file as it is now, and who may ask for
// anybody. A file that is wrong denies, as it does everywhere. slow is called
// before anything that may take long.
func (e *engines) current(slow func()) (*gate.Gate, []uint32, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, err := config.StateOf(e.path)
	if err != nil {
		return nil, nil, err
	}
	// What is wrong may be in a file that the configuration names.
	if now != e.seen || e.engine == nil {
		slow()
		e.load(now)
	}
	return e.engine, e.allowed(), e.err
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
	e.load(now)
	return e.err
}

// load must be called with the lock. Dialogues that are under way keep the
// engine they have. seen is the file's state from before it is read.
func (e *engines) load(seen config.State) {
	e.seen = config.State{}
	if seen.Settled(time.Now()) {
		e.seen = seen
	}
	e.engine, e.err = gate.Open(e.path, e.sink)
	if e.err != nil {
		e.engine = nil
		return
	}
	e.engine.Sender = e.sender(e.engine.Config)
	var allow []uint32
	told := e.unknown
	e.unknown = nil
	for _, name := range e.engine.Config.Verifier.Allow {
		uid, err := uidOf(name)
		if err == nil {
			allow = append(allow, uid)
			continue
		}
		// It denies its own programs, nobody else's.
		e.unknown = append(e.unknown, name)
		if !slices.Contains(told, name) {
			e.sink.Write(audit.Record{Verdict: "fault", Rule: "configuration", Reason: err.Error()})
		}
	}
	e.allow.Store(&allow)
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

// allowed is who may ask for anybody as far as is known without looking.
func (e *engines) allowed() []uint32 {
	if allow := e.allow.Load(); allow != nil {
		return *allow
	}
	return nil
}

// uidOf looks up a user of verifier.allow.
func uidOf(name string) (uint32, error) {
	account, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("verifier.allow: user %q: %w", name, err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("verifier.allow: user %q: uid %q", name, account.Uid)
	}
	return uint32(uid), nil
}
