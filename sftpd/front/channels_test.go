package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
)

// One session of a connection copies at a time. Who waits ends with the
// connection.
func TestCopiesTakeTurns(t *testing.T) {
	copying := make(semaphore, 1)
	release, err := copying.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := copying.acquire(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("a second one began, %v", err)
	}
	release()
	if release, err = copying.acquire(t.Context()); err != nil {
		t.Errorf("none began after the first was released: %v", err)
	}
	release()
}

// connectionAt is a connection whose clock the test drives.
func connectionAt(at time.Time) (*connection, *time.Time) {
	clock := &at
	return &connection{channels: activity{now: func() time.Time { return *clock }, files: map[*session]int{}, since: at},
		operations: newOperations(func([]byte) error { return nil })}, clock
}

// client is a channel of a client that asks for what is in Reader, and takes answers as
// takes does.
type client struct {
	ssh.Channel
	io.Reader
	takes func()
}

func (c client) Read(p []byte) (int, error)                   { return c.Reader.Read(p) }
func (c client) Write(p []byte) (int, error)                  { c.takes(); return len(p), nil }
func (client) CloseWrite() error                              { return nil }
func (client) SendRequest(string, bool, []byte) (bool, error) { return true, nil }

// A download over a slow line is not idle, though the client has long asked for all of
// it.
func TestSlowDownloadIsNotIdle(t *testing.T) {
	const idle = 30 * time.Second
	c, clock := connectionAt(time.Unix(0, 0))
	c.conn, _ = pair(t)
	(&session{connection: c}).busy(true, 1)
	answers := corking{client{takes: func() { *clock = clock.Add(idle) }}, c.conn, &c.channels}
	for n := range 10 {
		if _, err := answers.Write(make([]byte, 2*sshBuffer)); err != nil || c.channels.mayEnd(clock.Add(idle), idle, false) {
			t.Errorf("ended %v after answer %d was taken, %v", idle, n, err)
		}
	}
	if !c.channels.mayEnd(clock.Add(idle+1), idle, false) {
		t.Error("not ended although nothing more was taken")
	}
}

// What the answers of an SFTP session go through is what tells that they are taken.
func TestSessionTellsWhatIsTaken(t *testing.T) {
	c, clock := connectionAt(time.Unix(0, 0))
	c.open = (&openLimit{}).forConnection()
	worker, _ := seqpackettest.Pair(t)
	taken := time.Time{}
	// With the begin of another request behind it, or the wait for that would tell too.
	asks := io.MultiReader(strings.NewReader("\x00\x00\x00\x05\x01\x00\x00\x00\x03"+"\x00"), readerFunc(func([]byte) (int, error) {
		taken = c.channels.since
		return 0, io.EOF
	}))
	c.serveSFTP(t.Context(), client{Reader: asks, takes: func() { *clock = clock.Add(time.Hour) }}, worker)
	if taken != *clock {
		t.Errorf("the last answer was taken at %v, and the connection knows of %v", *clock, taken)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Whatever a connection asks, takes or ends makes its idle time begin anew, and
// nothing is ended before that is over.
func TestIdle(t *testing.T) {
	const idle = time.Minute
	c, clock := connectionAt(time.Unix(0, 0))
	s := &session{connection: c}
	for what, do := range map[string]func(){
		"a request":         func() { s.busy(true, 1) },
		"its answer":        func() { s.busy(false, 1) },
		"what was taken":    c.channels.touch,
		"a session's end":   func() { c.channels.forget(s) },
		"the channel's end": c.channels.end,
	} {
		long := *clock
		c.channels.since = long
		if !c.channels.mayEnd(long.Add(idle+1), idle, false) || c.channels.mayEnd(long.Add(idle), idle, false) {
			t.Errorf("before %s: not ended right after %v", what, idle)
		}
		*clock = clock.Add(time.Hour)
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
	c, clock := connectionAt(time.Unix(0, 0))
	s, now := &session{connection: c}, *clock
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
