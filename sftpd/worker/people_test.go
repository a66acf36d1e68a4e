package main

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
	"github.com/otpgate/otpgate/internal/testwait"
)

// toldBy gives people with that patience, and the other end of their
// connection.
func toldBy(t *testing.T, patience time.Duration) (*people, *seqpacket.Conn) {
	t.Helper()
	ours, login := seqpackettest.Pair(t)
	p := newPeople(messages.Spec{User: "me", UID: 4000000}, ours)
	p.patience = patience
	return p, login
}

// reply answers the next question in the login process's place, and says what it was.
func reply(t *testing.T, login *seqpacket.Conn, answer string) question {
	t.Helper()
	buffer := make([]byte, messages.MaxNameQuestion)
	n, _, err := login.Receive(buffer)
	r := fields.NewReader(buffer[:n])
	q := question{r.U8(), r.Text()}
	var w fields.Writer
	if err := errors.Join(err, login.Send(w.Text(answer).Bytes)); err != nil {
		t.Error(err)
	}
	return q
}

// What the files have is not asked for; the rest is asked for once, also what
// nobody knows.
func TestNamesAreAskedOnce(t *testing.T) {
	p, login := toldBy(t, time.Minute)
	asked := make(chan question, 2)
	go func() {
		asked <- reply(t, login, "faraway")
		asked <- reply(t, login, "")
	}()
	for range 3 {
		if root, me, far, none := p.user(0), p.user(4000000), p.user(4000001), p.group(4000002); root != "root" || me != "me" || far != "faraway" || none != "" {
			t.Errorf("found %q %q %q %q", root, me, far, none)
		}
	}
	if first, second := <-asked, <-asked; first != (question{messages.NameOfUser, "4000001"}) || second != (question{messages.NameOfGroup, "4000002"}) {
		t.Errorf("asked %v, %v", first, second)
	}
	late := p.now().Add(2 * freshness)
	p.now = func() time.Time { return late }
	go reply(t, login, "renamed")
	if name := p.user(4000001); name != "renamed" {
		t.Errorf("after %v: %q", 2*freshness, name)
	}
}

// A name service that hangs holds up any number of names for the patience
// once, and is heard when it speaks at last.
func TestSlowNames(t *testing.T) {
	const patience = time.Minute
	p, login := toldBy(t, patience)
	began := time.Unix(0, 0)
	clock, over := began, make(chan time.Time)
	close(over)
	p.now = func() time.Time { return clock }
	p.after = func(d time.Duration) <-chan time.Time { clock = clock.Add(d); return over }
	for id := range uint32(5000) {
		if name := p.user(5000000 + id); name != "" {
			t.Errorf("%d: %q", id, name)
		}
	}
	// The tenth of the time in which it waits again is waited for too.
	if took := clock.Sub(began); took < patience || took > patience*5/4 {
		t.Errorf("5,000 names took %v, expected about %v, and not that for each", took, patience)
	}
	if name := p.user(0); name != "root" {
		t.Errorf("root: %q", name)
	}
	for range maxAsked {
		q := reply(t, login, "late")
		if n, err := strconv.Atoi(q.about); err != nil || n < 5000000 || n > 5000000+maxAsked {
			t.Errorf("asked %v", q)
		}
	}
	testwait.Until(t, "what came late is known", func() bool { return p.user(5000000) == "late" })
}

// Without the login process, or with one that says what none does, ids are numbers.
func TestNamesWithoutTheLoginProcess(t *testing.T) {
	p, login := toldBy(t, time.Minute)
	login.Close()
	if name := p.user(4000001); name != "" {
		t.Errorf("gone: %q", name)
	}
	if _, err := p.homeOf("nobody-of-that-name"); err == nil {
		t.Error("gone: a home was found")
	}
	p, login = toldBy(t, time.Minute)
	go func() {
		buffer := make([]byte, messages.MaxNameQuestion)
		for _, answer := range []string{"\xff", "\x00\x00\x00\x09short", strings.Repeat("x", 9000)} {
			_, _, _ = login.Receive(buffer)
			_ = login.Send([]byte(answer))
		}
	}()
	for id := range uint32(3) {
		if name := p.user(4000001 + id); name != "" {
			t.Errorf("garbage %d: %q", id, name)
		}
	}
}
