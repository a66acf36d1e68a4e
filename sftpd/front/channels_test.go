package main

import (
	"context"
	"errors"
	"testing"
	"time"
)

// One session of a connection copies at a time. Who waits ends with the
// connection.
func TestCopiesTakeTurns(t *testing.T) {
	copying := make(turns, 1)
	release, err := copying.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := copying.begin(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a second one began, %v", err)
	}
	release()
	if release, err = copying.begin(t.Context()); err != nil {
		t.Errorf("none began after the first was released: %v", err)
	}
	release()
}

// Whatever a connection asks, takes or ends makes its idle time begin anew, and
// nothing is ended before that is over.
func TestIdle(t *testing.T) {
	const idle = time.Minute
	c := &connection{}
	c.channels.files = map[*session]int{}
	s := &session{connection: c}
	for what, do := range map[string]func(){
		"a request":         func() { s.busy(true, 1) },
		"its answer":        func() { s.busy(false, 1) },
		"what was taken":    c.channels.touch,
		"a session's end":   func() { c.channels.forget(s) },
		"the channel's end": c.channels.end,
	} {
		long := time.Now().Add(-time.Hour)
		c.channels.since = long
		if !c.channels.mayEnd(long.Add(idle+1), idle, false) || c.channels.mayEnd(long.Add(idle), idle, false) {
			t.Errorf("before %s: not ended right after %v", what, idle)
		}
		do()
		since := c.channels.since
		if c.channels.mayEnd(since.Add(idle), idle, false) || !since.After(long) {
			t.Errorf("%s does not count: since %v, before %v", what, since, long)
		}
		if c.channels.mayEnd(since.Add(1000*time.Hour), 0, false) {
			t.Errorf("after %s: ended without a time", what)
		}
	}
}

// One that is to be drained ends once it has no request and no file open.
func TestDrainedOnceQuiet(t *testing.T) {
	c := &connection{}
	c.channels.files = map[*session]int{}
	s, now := &session{connection: c}, time.Now()
	for _, step := range []struct {
		busy  bool
		files int
		ends  bool
	}{{true, 0, false}, {false, 1, false}, {true, 1, false}, {false, 0, true}} {
		if s.busy(step.busy, step.files); c.channels.mayEnd(now, 0, true) != step.ends {
			t.Errorf("%+v: expected the end %v", step, step.ends)
		}
		if c.channels.mayEnd(now, 0, false) {
			t.Errorf("%+v: ended without being drained", step)
		}
	}
}
