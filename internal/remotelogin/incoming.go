package remotelogin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
	"github.com/otpgate/otpgate/internal/handshake"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotewire"
)

// keptIncoming is how many connections of each server wait for logins. A server keeps
// fewer ahead, so it bounds what is left of a rush.
const keptIncoming = 32

// usualRetry is how long after an address could not be listened at it is tried again:
// the machine may not have it yet.
const usualRetry = time.Second

// incoming takes the connections of servers that dial this machine. They are told
// apart by their keys, as many may come from one address.
type incoming struct {
	log       audit.Sink
	key       *pinned.KeyFile
	known     pinned.Known
	admission *handshake.Admission
	retry     time.Duration
	// arrived is given each connection of a key that is known.
	arrived func(key config.KeyHash, from netip.Addr, conn net.Conn)

	mu        sync.Mutex
	listeners map[string]*net.TCPListener
	// wrong is why there is no listener at an address.
	wrong map[string]error
	// ended is closed with the end, once.
	ended chan struct{}
	end   func()
}

// rules are the log's for whoever gets nowhere.
var rules = handshake.Rules{TooMany: "remote.handshakes", Handshake: "remote.handshake", Own: "remote.key", Theirs: "remote.server_keys"}

// newIncoming listens nowhere yet.
func newIncoming(s *Servers, limits handshake.Limits, log audit.Sink) *incoming {
	ended := make(chan struct{})
	return &incoming{
		log: log, key: s.key, known: s.known, arrived: s.arrived, retry: usualRetry,
		// A client knows servers by their keys alone.
		admission: handshake.New(limits, rules, log, func(netip.Addr) bool { return false }),
		listeners: map[string]*net.TCPListener{}, wrong: map[string]error{},
		ended: ended, end: sync.OnceFunc(func() { close(ended) }),
	}
}

// listen takes connections at an address until the end. The first try is over when it
// returns.
func (i *incoming) listen(address string) {
	l, err := i.open(address)
	go func() {
		for ; err != nil; l, err = i.open(address) {
			select {
			case <-time.After(i.retry):
			case <-i.ended:
				return
			}
		}
		if l != nil {
			daemon.AcceptTCP(l, func(conn *net.TCPConn) { go i.connection(conn) }, func(reason string) { i.fault("accept", reason) })
		}
	}()
}

// open gives no listener after the end. The log has each error once.
func (i *incoming) open(address string) (*net.TCPListener, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.ended:
		return nil, nil
	default:
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		if old := i.wrong[address]; old == nil || old.Error() != err.Error() {
			go i.fault("remote.listen", err.Error())
		}
		i.wrong[address] = err
		return nil, err
	}
	delete(i.wrong, address)
	i.listeners[address] = l.(*net.TCPListener)
	return i.listeners[address], nil
}

func (i *incoming) fault(rule, reason string) {
	i.log.Write(audit.Record{Verdict: "fault", Rule: rule, Reason: reason})
}

// problem is why this machine listens at an address not at all, nil if it does.
func (i *incoming) problem() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, err := range i.wrong {
		return fmt.Errorf("remote.listen: %w", err)
	}
	return nil
}

// close listens no more. Its addresses can be listened at again when it returns.
func (i *incoming) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.end()
	for _, l := range i.listeners {
		l.Close()
	}
}

// connection finds out whose it is.
func (i *incoming) connection(bare *net.TCPConn) {
	given := false
	defer func() {
		if panicked := recover(); panicked != nil {
			i.fault("internal", fmt.Sprintf("panic: %v", panicked))
		}
		if !given {
			bare.Close()
		}
	}()
	peer, ok := bare.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return
	}
	from := peer.AddrPort().Addr().Unmap()
	conn := i.admission.Handshake(bare, from, i.key, i.known)
	if conn == nil {
		return
	}
	key, found := pinned.PeerKey(conn)
	if !found {
		return
	}
	i.admission.Note(key.String(), from)
	i.arrived(key, from, conn)
	given = true
}

// arrived keeps a connection of a server that dialled. Until it has, the server goes
// by the beginning of its key.
func (s *Servers) arrived(key config.KeyHash, from netip.Addr, conn net.Conn) {
	for _, server := range s.all {
		if server.dials && server.key == key {
			s.mu.Lock()
			server.address = from.String()
			s.mu.Unlock()
			server.pool.Put(conn)
			return
		}
	}
	conn.Close()
}

// errNotConnected is wrapped where a server has not dialled.
var errNotConnected = errors.New("has no connection to this machine open; the log of its otpgate-gateway says why")

// askIncoming asks a server that dials, over a connection that it has made. One that
// ends before there is an answer has begun nothing. busy is the server's own word.
func (s *Servers) askIncoming(ctx context.Context, server *server, take remotewire.Take) (taken *Taken, busy, err error) {
	var last error
	for {
		// There are few, and anybody on the machine can begin unprivileged logins.
		conn := server.pool.Wait(ctx, take.Unprivileged)
		name := s.nameOf(server)
		if conn != nil && ctx.Err() != nil {
			server.pool.Put(conn) // it is good for another login
			conn = nil
		}
		if conn == nil {
			if problem := s.incoming.problem(); problem != nil {
				return nil, nil, problem
			}
			if last != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, last)
			}
			return nil, nil, fmt.Errorf("%s %w", name, errNotConnected)
		}
		taken, busy, last = s.askOver(ctx, server, conn, take)
		if taken != nil || busy != nil {
			return taken, busy, nil
		}
	}
}

// nameOf is a server's in messages and in the log.
func (s *Servers) nameOf(server *server) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if server.address != "" {
		return server.address
	}
	return "the server with the key " + server.key.String()
}

// absentLast puts servers that dial and have no connection open behind the others,
// and says how many the others are.
func absentLast(order []*server) (sorted []*server, present int) {
	sorted = slices.Clone(order)
	absent := func(s *server) int {
		if s.dials && s.pool.Len() == 0 {
			return 1
		}
		return 0
	}
	states := map[*server]int{}
	for _, server := range order {
		if states[server] = absent(server); states[server] == 0 {
			present++
		}
	}
	slices.SortStableFunc(sorted, func(a, b *server) int { return states[a] - states[b] })
	return sorted, present
}
