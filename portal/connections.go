package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections are those that are open. When there are too many, the one that has been
// without a request for longest is closed, so that strangers who hold connections, or
// send slowly, keep nobody out.
type connections struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]*connection
	// count puts those in an order that began to wait in the same tick of the clock.
	count uint64
}

type connection struct {
	net.Conn
	working int    // requests that are being answered
	since   uint64 // when it began to be without one
}

func newConnections(most int) *connections {
	return &connections{most: most, open: map[net.Conn]*connection{}}
}

type connectionKey struct{}

// context is for [http.Server].
func (c *connections) context(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := &connection{Conn: conn}
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

// closeOldest must be called with the lock. It is the newest if all others work.
func (c *connections) closeOldest() {
	var oldest *connection
	for _, one := range c.open {
		if one.working == 0 && (oldest == nil || one.since < oldest.since) {
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

// handler notes which connections have a request.
func (c *connections) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one, known := r.Context().Value(connectionKey{}).(*connection)
		if known {
			c.works(one, 1)
			defer c.works(one, -1)
		}
		next.ServeHTTP(w, r)
	})
}

func (c *connections) works(one *connection, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.working += more; one.working == 0 {
		c.wait(one)
	}
}
