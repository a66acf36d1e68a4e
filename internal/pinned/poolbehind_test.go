package pinned

import (
	"context"
	"net"
	"testing"
)

// Whoever waits behind gets no connection that one of the others waits for, and is woken
// once none of them does.
func TestPoolWaitBehind(t *testing.T) {
	pool, another := watched(t)
	here, _ := another()
	pool.goFirst(1)
	pool.Put(here)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if conn := pool.Wait(over, true); conn != nil {
		t.Fatal("it does not wait for its turn")
	}
	behind := make(chan net.Conn)
	for range 3 {
		go func() { behind <- pool.Wait(t.Context(), true) }()
	}
	if conn := pool.Wait(t.Context(), false); conn != here {
		t.Errorf("%v", conn)
	}
	pool.goFirst(-1)
	for range 3 {
		pool.Put(here)
		if conn := <-behind; conn != here {
			t.Errorf("%v", conn)
		}
	}
}
