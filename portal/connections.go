package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections are those that are open. When there are too many, the one for which the
// verifier has not been asked for longest is closed, so that strangers who hold
// connections, or send or read slowly, keep nobody out.
type connections struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]*connection
	// count puts those in an order that began to wait in the same tick of the clock.
	count uint64
}

type connection struct {
	net.Conn
	of     *connections
	asking int    // requests for which the verifier is being asked
	since  uint64 // when it began to be without one
}

func newConnections(most int) *connections {
	return &connections{most: most, open: map[net.Conn]*connection{}}
}

type connectionKey struct{}

// context is for [http.Server].
func (c *connections) context(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := &connection{Conn: conn, of: c}
	c.wait(one)
	c.open[conn] = one
	if len(c.open) > c.most {
		c.closeOldest()
	}
	return context.WithValue(ctx, connectionKey{}, one)
}

// wait must be called with the lock.
func (c *connections) wait(one *connection) {
	c.count++
	one.since = c.count
}

// closeOldest must be called with the lock. It is the newest if all others ask.
func (c *connections) closeOldest() {
	var oldest *connection
	for _, one := range c.open {
		if one.asking == 0 && (oldest == nil || one.since < oldest.since) {
			oldest = one
		}
	}
	if oldest == nil {
		return
	}
	delete(c.open, oldest.Conn)
	// Whoever reads or writes there is told, and closes it: a close waits for nobody.
	_ = oldest.SetDeadline(time.Unix(1, 0))
	go oldest.Close()
}

// state is for [http.Server].
func (c *connections) state(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// asks notes that the verifier is being asked for a request of that context, until end
// is called. What else a request takes time for is up to who sends it.
func asks(ctx context.Context) (end func()) {
	one, known := ctx.Value(connectionKey{}).(*connection)
	if !known {
		return func() {}
	}
	one.of.asks(one, 1)
	return func() { one.of.asks(one, -1) }
}

func (c *connections) asks(one *connection, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.asking += more; one.asking == 0 {
		c.wait(one)
	}
}
