// Package remotelogin has a server decide a login: it is the front's end on a client
// of what package remotewire describes.
//
// The entry points are [New], [Servers.Take] and [Taken.Run]. The package promises
// that a login is begun at one server alone, and never again at another one; that no
// server is waited for beyond the time that the configuration gives; and that a
// dialogue which breaks has no outcome but a denial.
package remotelogin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/handshake"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// The times that are not in the configuration.
const (
	// usualNext is how long after one server the next one is asked too, if the first
	// has not answered: a server that hangs costs no more than this.
	usualNext = 300 * time.Millisecond
	// usualAgain is how long a connection that was kept is waited for. A firewall may
	// have forgotten it, and then another one is made.
	usualAgain = 300 * time.Millisecond
	// idle is how long a connection is kept, less than the gateway keeps it.
	idle = 30 * time.Second
)

// keptEach is how many connections to each server are kept.
const keptEach = 8

// Servers are those of one configuration.
type Servers struct {
	settings config.Remote
	key      *pinned.KeyFile
	// dial makes the bare connection.
	dial        func(ctx context.Context, address string) (net.Conn, error)
	next, again time.Duration

	all []*server
	// incoming is nil where no server dials this machine.
	incoming *incoming

	mu     sync.Mutex
	last   *server // the one that took a login last
	closed bool
}

// server is one of them.
type server struct {
	// address is where it is dialled, or, if it dials, where it came from last.
	address string
	pool    pinned.Pool
	opening opening // of those that are dialled
	// dials says that the server dials this machine; key is then what it shows.
	dials bool
	key   config.KeyHash
	// answers counts how often it has said that it decides logins: one that others kept
	// from asking it may find that it can be reached all the same.
	answers atomic.Uint64
	// ledger names what it remembers used codes in, as it said last. The lock for it,
	// and for the address of a server that dials, is Servers's.
	ledger string
}

// New makes the servers of a configuration, and listens where they dial this machine.
// Nothing is dialled yet. Close ends it.
func New(settings config.Remote, log audit.Sink) *Servers {
	s := serversOf(settings)
	if len(settings.Listen) > 0 {
		s.listen(handshake.Usual, log)
	}
	return s
}

func serversOf(settings config.Remote) *Servers {
	s := &Servers{settings: settings, key: pinned.NewKeyFile(settings.Key), dial: pinned.Dial, next: usualNext, again: usualAgain}
	for _, address := range settings.Servers {
		s.all = append(s.all, &server{address: address, pool: pinned.Pool{Most: keptEach, Idle: idle}, opening: newOpening()})
	}
	return s
}

// listen has a place for each server that may dial.
func (s *Servers) listen(limits handshake.Limits, log audit.Sink) {
	for _, key := range s.settings.ServerKeys {
		s.all = append(s.all, &server{dials: true, key: key, pool: pinned.Pool{Most: keptIncoming, Watch: true}})
	}
	s.incoming = newIncoming(s, limits, audit.NewLimiter(log.Write))
	for _, address := range s.settings.Listen {
		s.incoming.listen(address)
	}
}

// IsFor says whether these are the servers of that configuration.
func (s *Servers) IsFor(settings config.Remote) bool {
	return slices.Equal(s.settings.Servers, settings.Servers) && slices.Equal(s.settings.ServerKeys, settings.ServerKeys) &&
		slices.Equal(s.settings.Listen, settings.Listen) && s.settings.Key == settings.Key && s.settings.Timeout == settings.Timeout
}

// Close listens no more, and lets go of connections that are kept. Dialogues go on.
func (s *Servers) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.incoming != nil {
		s.incoming.close()
	}
	for _, server := range s.all {
		server.pool.Close()
	}
}

// Taken is a login that a server has taken.
type Taken struct {
	// Server is its address as the configuration has it.
	Server string

	server *server
	conn   net.Conn
	ledger string
}

// errLedgers is wrapped by the denial where servers differ in their ledgers.
var errLedgers = errors.New("the servers have different ledgers, and would each take a code once")

// Take finds a server that takes the login. The error says of each server why not, and
// is an [UnreachableError] if none can be reached that would.
func (s *Servers) Take(ctx context.Context, take remotewire.Take) (*Taken, error) {
	ctx, cancel := context.WithTimeout(ctx, s.settings.Timeout.Duration)
	defer cancel()
	taken, err := s.find(ctx, take, s.order())
	if err != nil && s.isClosed() {
		return nil, fmt.Errorf("the configuration has changed, try again: %v", err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.sameLedger(ctx, take, taken); err != nil {
		taken.Drop()
		return nil, err
	}
	s.mu.Lock()
	s.last = taken.server
	s.mu.Unlock()
	return taken, nil
}

// isClosed says whether there are other servers by now. That none of these can be
// reached says nothing of those.
func (s *Servers) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// order is that in which the servers are asked, as far as they can be.
func (s *Servers) order() []*server {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return s.all
	}
	order := []*server{s.last}
	for _, server := range s.all {
		if server != s.last {
			order = append(order, server)
		}
	}
	return order
}

// result is what became of asking one server.
type result struct {
	taken *Taken
	err   error
}

// find asks one server after the other, the next one once the one before has refused
// or is late, and gives the first that takes the login. The others have done nothing
// that anybody could see, and are let go of.
func (s *Servers) find(ctx context.Context, take remotewire.Take, order []*server) (*Taken, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan result, len(order))
	begun, ended := 0, 0
	order, present := absentLast(order)
	begin := func() {
		// Those that have not dialled are waited for, all at once, after the others.
		for first := true; begun < len(order) && (first || begun > present); first = false {
			server := order[begun]
			begun++
			go func() {
				taken, err := s.ask(ctx, server, take)
				results <- result{taken, err}
			}()
		}
	}
	defer func() {
		cancel()
		go func() { // those that answer late
			for ; ended < begun; ended++ {
				if late := <-results; late.taken != nil {
					late.taken.Drop()
				}
			}
		}()
	}()
	begin()
	timer := time.NewTimer(s.next)
	defer timer.Stop()
	var refusals []string
	reached := false
	for ended < begun {
		select {
		case r := <-results:
			ended++
			if r.taken != nil {
				return r.taken, nil
			}
			refusals = append(refusals, r.err.Error())
			var full fullError
			reached = reached || errors.As(r.err, &full)
			begin()
			timer.Reset(s.next)
		case <-timer.C:
			begin()
			timer.Reset(s.next)
		}
	}
	err := errors.New(strings.Join(refusals, "; "))
	if reached {
		return nil, err
	}
	return nil, UnreachableError{err}
}
