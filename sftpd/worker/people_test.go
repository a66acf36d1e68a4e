package main

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/packet/packettest"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// keptBy gives people with that patience, and the other end of their
// connection.
func keptBy(t *testing.T, patience time.Duration) (*people, *packet.Conn) {
	t.Helper()
	ours, keeper := packettest.Pair(t)
	p := newPeople(talk.Spec{User: "me", UID: 4000000}, ours)
	p.patience = patience
	return p, keeper
}

// reply answers the next question in the keeper's place, and says what it was.
func reply(t *testing.T, keeper *packet.Conn, answer string) question {
	t.Helper()
	buffer := make([]byte, talk.MaxNameQuestion)
	n, _, err := keeper.Receive(buffer)
	r := packet.NewReader(buffer[:n])
	q := question{r.U8(), r.Text()}
	var w packet.Writer
	if err := errors.Join(err, keeper.Send(w.Text(answer).Bytes)); err != nil {
		t.Error(err)
	}
	return q
}

// What the files have is not asked for; the rest is asked for once, also what
// nobody knows.
func TestNamesAreAskedOnce(t *testing.T) {
	p, keeper := keptBy(t, time.Minute)
	asked := make(chan question, 2)
	go func() {
		asked <- reply(t, keeper, "faraway")
		asked <- reply(t, keeper, "")
	}()
	for range 3 {
		if root, me, far, none := p.user(0), p.user(4000000), p.user(4000001), p.group(4000002); root != "root" || me != "me" || far != "faraway" || none != "" {
			t.Errorf("found %q %q %q %q", root, me, far, none)
		}
	}
	if first, second := <-asked, <-asked; first != (question{talk.NameOfUser, "4000001"}) || second != (question{talk.NameOfGroup, "4000002"}) {
		t.Errorf("asked %v, %v", first, second)
	}
	late := p.now().Add(2 * freshness)
	p.now = func() time.Time { return late }
	go reply(t, keeper, "renamed")
	if name := p.user(4000001); name != "renamed" {
		t.Errorf("after %v: %q", 2*freshness, name)
	}
}

// A name service that hangs holds up any number of names for the patience
// once, and is heard when it speaks at last.
func TestSlowNames(t *testing.T) {
	const patience = 50 * time.Millisecond
	p, keeper := keptBy(t, patience)
	began := time.Now()
	for id := range uint32(5000) {
		if name := p.user(5000000 + id); name != "" {
			t.Errorf("%d: %q", id, name)
		}
	}
	if took := time.Since(began); took < patience || took > 1000*patience {
		t.Errorf("5,000 names took %v, expected about %v, and not that for each", took, patience)
	}
	if name := p.user(0); name != "root" {
		t.Errorf("root: %q", name)
	}
	for range maxAsked {
		q := reply(t, keeper, "late")
		if n, err := strconv.Atoi(q.about); err != nil || n < 5000000 || n > 5000000+maxAsked {
			t.Errorf("asked %v", q)
		}
	}
	for p.user(5000000) != "late" {
		if time.Since(began) > 3*time.Minute {
			t.Fatal("what came late is not known")
		}
	}
}

// Without a keeper, or with one that says what no keeper does, ids are numbers.
func TestNamesWithoutAKeeper(t *testing.T) {
	p, keeper := keptBy(t, time.Minute)
	keeper.Close()
	if name := p.user(4000001); name != "" {
		t.Errorf("gone: %q", name)
	}
	if _, err := p.homeOf("nobody-of-that-name"); err == nil {
		t.Error("gone: a home was found")
	}
	p, keeper = keptBy(t, time.Minute)
	go func() {
		buffer := make([]byte, talk.MaxNameQuestion)
		for _, answer := range []string{"\xff", "\x00\x00\x00\x09short", strings.Repeat("x", 9000)} {
			_, _, _ = keeper.Receive(buffer)
			_ = keeper.Send([]byte(answer))
		}
	}()
	for id := range uint32(3) {
		if name := p.user(4000001 + id); name != "" {
			t.Errorf("garbage %d: %q", id, name)
		}
	}
}
