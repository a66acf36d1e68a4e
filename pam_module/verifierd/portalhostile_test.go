package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// frozen has the limits of the page filled up at no time but when the test says so.
func (r *portalRig) frozen(changes, wrong int) (pass func(time.Duration)) {
	start, l := time.Now(), r.portal.limits
	var passed atomic.Int64
	now := func() time.Time { return start.Add(time.Duration(passed.Load())) }
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links.mu.Lock()
	defer l.links.mu.Unlock()
	l.mostChanges, l.mostWrong, l.now, l.links.now = changes, wrong, now, now
	return func(d time.Duration) { passed.Add(int64(d)) }
}

// Somebody took the page over, and knows the wire. Nothing comes of it but what links
// that people open show.
func TestPageTakenOver(t *testing.T) {
	r := newPortalRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n")
	alice := r.enroll(t, "alice")
	secret, err := os.ReadFile(filepath.Join(r.users, "alice.toml"))
	if err != nil {
		t.Fatal(err)
	}
	link := r.invite(t, "alice", false)
	session := r.begin(t, link).BrowserSession
	_ = r.log.take(t, 1)
	var said strings.Builder
	for _, request := range []portalwire.Request{
		{Op: "list"}, {Op: "ask", Link: "alice"}, {Op: "look", BrowserSession: session}, {Op: portalwire.Open}, {Op: portalwire.Begin, BrowserSession: session},
		{Op: portalwire.Open, Link: "alice"}, {Op: portalwire.Open, Link: strings.Repeat("a", 32)}, {Op: portalwire.Open, Link: link},
		{Op: portalwire.Begin, Link: "alice"}, {Op: portalwire.Begin, Link: strings.Split(session, ".")[1]}, {Op: portalwire.Begin, Link: strings.Split(session, ".")[0]},
		{Op: portalwire.Resume, BrowserSession: link}, {Op: portalwire.Resume, BrowserSession: session}, {Op: portalwire.Confirm, BrowserSession: "alice." + link, First: "123456"},
		// A first code is nothing without one of the device that counts.
		{Op: portalwire.Confirm, BrowserSession: session, First: codeOf(t, r.begin(t, link), 0)},
	} {
		request.Remote = "192.0.2.66"
		answer, _ := r.sends(t, portalUID, request)
		if answer.Enrolled != nil {
			t.Errorf("%v enrolls", request)
		}
		fmt.Fprintf(&said, "%#v %#v %#v\n", answer.Page, answer.Refused, answer.Until)
		if answer.Setup != nil {
			fmt.Fprintf(&said, "%s %s %s\n", answer.Setup.URI, answer.Setup.Key, answer.Setup.ID)
		}
	}
	for line := range strings.Lines(string(secret)) {
		if _, value, ok := strings.Cut(line, "secret = "); ok && strings.Contains(said.String(), strings.Trim(value, "\"\n")) {
			t.Error("it was told alice's secret")
		}
	}
	person, err := r.invitations(t, time.Now).People.Accounts.Load("alice")
	if err != nil || len(person.Confirmed()) != 1 || !person.Enabled {
		t.Errorf("%+v, %v", person, err)
	}
	r.log.mu.Lock()
	r.log.all = nil
	r.log.mu.Unlock()
	if verdict := r.rig.asks(t, rootUID, alice); verdict != wire.Accept {
		t.Errorf("alice's own login: %v", verdict)
	}
}

// Wrong links and codes, from addresses that the page names, count apart: they lock
// nobody out of a login. What they leave in ledger and log is bounded.
func TestPageMakesUpAddresses(t *testing.T) {
	const limit = 5
	r := newPortalRig(t, "[totp]\nwindow = 10\n[policy.attempts]\nper_window = 3\nper_source = 3\n")
	pass := r.frozen(1000, limit)
	alice := r.enroll(t, "alice")
	wrong := portalwire.Request{Op: portalwire.Begin, Link: strings.Repeat("a", 32)}
	for n := range 4 * limit {
		wrong.Remote = fmt.Sprintf("192.0.2.%d", n)
		if answer := r.answered(t, wrong); answer.Refused != portalwire.Unknown {
			t.Errorf("refused as %q", answer.Refused)
		}
	}
	if lines, left := r.log.take(t, limit), r.names(t, "sources"); len(left) != limit || lines[0].Rule != "link" {
		t.Errorf("the ledger has %q, the log %+v", left, lines)
	}
	pass(time.Minute)
	wrong.Remote = "192.0.2.0"
	for _, want := range []string{portalwire.Unknown, portalwire.Unknown, portalwire.Locked, portalwire.Locked} {
		if answer := r.answered(t, wrong); answer.Refused != want {
			t.Errorf("refused as %q, expected %q", answer.Refused, want)
		}
	}
	if line := r.log.take(t, 2)[0]; !strings.Contains(line.Reason, fmt.Sprintf("(and %d others by the page since the last line)", 3*limit)) {
		t.Errorf("%+v", line)
	}
	setup := r.begin(t, r.invite(t, "alice", false))
	confirm := portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: codeOf(t, setup, 0), Current: alice.wrong(t), Remote: "192.0.2.200"}
	for _, want := range []string{portalwire.WrongCurrent, portalwire.WrongCurrent, portalwire.Locked, portalwire.Locked} {
		if answer := r.answered(t, confirm); answer.Refused != want {
			t.Errorf("refused as %q, expected %q", answer.Refused, want)
		}
	}
	_ = r.log.take(t, 4) // opened, and three; then the address is locked too
	login := r.start("alice")
	login.RemoteHost = "192.0.2.0"
	if verdict, told, err := dial(t, r.socket).login(login, alice.code(t)); verdict != wire.Accept {
		t.Errorf("her login from the same address: %v %q %v", verdict, told, err)
	}
}

// What the page may have changed in a minute is bounded, and what has no link uses up
// nothing of that.
func TestPageChangesTooMuch(t *testing.T) {
	const limit = 3
	r := newPortalRig(t, wide)
	pass := r.frozen(limit, 1000)
	link := r.invite(t, "alice", false)
	request := portalwire.Request{Op: portalwire.Begin, Link: link, Remote: "192.0.2.1"}
	for range 2 * limit {
		_ = r.answered(t, portalwire.Request{Op: portalwire.Begin, Link: strings.Repeat("a", 32)})
		_ = r.answered(t, portalwire.Request{Op: portalwire.Open, Link: link})
	}
	_ = r.log.take(t, 2*limit)
	var setup *portalwire.Setup
	for range limit {
		setup = r.begin(t, link)
	}
	before, err := os.ReadFile(filepath.Join(r.users, "alice.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []portalwire.Request{request, {Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: codeOf(t, setup, 0), Remote: "192.0.2.1"}} {
		if answer, ok := r.sends(t, portalUID, request); ok {
			t.Errorf("answered %v", answer)
		}
	}
	after, err := os.ReadFile(filepath.Join(r.users, "alice.toml"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the secret file changed: %v", err)
	}
	lines := r.log.take(t, limit+2)
	if line := lines[limit]; line.Rule != "portal" || !strings.Contains(line.Reason, "too many changes in this minute") {
		t.Errorf("%+v", line)
	}
	// What was shown can be shown again, and the code is still good in the next minute.
	if again := r.answered(t, portalwire.Request{Op: portalwire.Resume, BrowserSession: setup.BrowserSession}).Setup; again == nil || *again != *setup {
		t.Error("the setup is not shown again")
	}
	pass(time.Minute)
	if r.answered(t, portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: codeOf(t, setup, 0)}).Enrolled == nil {
		t.Error("not enrolled in the next minute")
	}
}

// Connections that ask for nothing are let in up to a bound, and no login waits for
// them; nor does one in the log.
func TestPageFloods(t *testing.T) {
	r := newPortalRig(t, wide)
	alice := r.enroll(t, "alice")
	open := func() int {
		r.portal.admission.mu.Lock()
		defer r.portal.admission.mu.Unlock()
		return r.portal.admission.open
	}
	now := time.Now()
	r.portal.admission.mu.Lock()
	r.portal.admission.now = func() time.Time { return now } // the minute of the log is not over
	r.portal.admission.mu.Unlock()
	var idle []front
	for range usual.portal {
		idle = append(idle, dialAs(t, portalUID, r.page))
	}
	r.portal.admission.mu.Lock()
	limit := r.portal.admission.limits.portal
	r.portal.admission.mu.Unlock()
	if limit != usual.portal {
		t.Fatalf("%d may be open", limit)
	}
	if verdict := r.asks(t, rootUID, alice); verdict != wire.Accept {
		t.Errorf("a login beside them: %v", verdict)
	}
	for _, conn := range idle {
		_ = conn.Close()
	}
	testwait.Until(t, "their end", func() bool { return open() == 0 })
	// Each was broken off, or cut off as it sent nothing.
	testwait.Until(t, "a count of them", func() bool {
		return strings.Contains(r.figures(t), fmt.Sprintf("otpgate_protocol_errors_total %d\n", usual.portal))
	})
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if lines := len(r.log.all); lines > brokenLines+1 {
		t.Errorf("%d lines in the log", lines)
	}
}

// Those over the bound are dropped, with few words in the log.
func TestPageOverItsBound(t *testing.T) {
	d := newAdmissionTest(t, limits{portal: 2})
	d.come(portalUID, forPortal, true, "")
	d.come(portalUID, forPortal, true, "")
	d.come(portalUID, forPortal, false, "uid 997 is refused: it has 2 dialogues open")
	d.come(portalUID, forPortal, false, "")
	d.gone(portalUID)
	d.come(portalUID, forPortal, true, "")
	who := d.in[portalUID][0]
	told := 0
	for range 10 * brokenLines {
		if tells, _ := d.tells(who); tells {
			told++
		}
	}
	if told != brokenLines {
		t.Errorf("%d lines in a minute", told)
	}
}
