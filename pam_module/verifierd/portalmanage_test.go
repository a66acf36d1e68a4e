package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/portalanswer"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// post is a sender whose mails are in a channel.
type post chan deliver.Message

func (p post) Send(_ context.Context, message deliver.Message) (deliver.Delivery, error) {
	p <- message
	return deliver.Delivery{Channel: deliver.Email, To: deliver.MaskEmail(message.Email)}, nil
}

// newManagedRig is a rig whose page is also for people who are enrolled, with alice, who
// has a phone and an address.
func newManagedRig(t *testing.T) (*portalRig, *person, post) {
	t.Helper()
	r := newPortalRig(t, wide)
	r.configure(t, "[email]\nsmtp = 'smtps://127.0.0.1'\nfrom = 'a@h'\n"+strings.Replace(portalText(r.installation, wide), "[portal]\n", "[portal]\nmanage = true\n", 1))
	alice := r.enroll(t, "alice")
	r.address(t, "alice")
	mails := make(post, 100)
	r.portal.sender = mails
	return r, alice, mails
}

// address gives somebody one.
func (r *portalRig) address(t *testing.T, user string) {
	t.Helper()
	engine, err := r.server.engines.current(func() {})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := account.PlaceOf(engine.Config).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.Change(user, func(person *account.Person) error { person.Email = user + "@example.com"; return nil }); err != nil {
		t.Fatal(err)
	}
}

// askLink has a link mailed, and says what the answer is.
func (r *portalRig) askLink(t *testing.T, user, from string) portalwire.Answer {
	t.Helper()
	return r.answered(t, portalwire.Request{Op: portalwire.AskLink, Remote: from, Manage: portalwire.Manage{User: user}})
}

// Somebody enrolled asks for a link, enters, and renames the device, by which the next
// code logs in. All of it is counted apart from logins.
func TestPageOfPeopleEnrolled(t *testing.T) {
	r, alice, mails := newManagedRig(t)
	if answer := r.askLink(t, "alice", ""); answer.Managed == nil || !answer.Managed.Asked {
		t.Fatalf("%+v", answer)
	}
	mail := <-mails
	link, ok := strings.CutPrefix(mail.Link, "https://otp.example.com/m/")
	if !ok || mail.Email != "alice@example.com" {
		t.Fatalf("%v", mail)
	}
	entered := r.answered(t, portalwire.Request{Op: portalwire.Enter, Link: link, Current: alice.code(t)}).Managed
	if entered == nil {
		t.Fatal("alice does not enter")
	}
	session := entered.Entered.BrowserSession
	if done := r.answered(t, portalwire.Request{Op: portalwire.Change, BrowserSession: session, Manage: portalwire.Manage{Do: portalwire.Rename, ID: "phone", Name: "laptop"}}).Managed; done == nil {
		t.Fatal("not renamed")
	}
	if mail := <-mails; mail.Change != "The device phone is called laptop now." || mail.Remote != "192.0.2.1" {
		t.Errorf("%+v", mail)
	}
	if devices := r.answered(t, portalwire.Request{Op: portalwire.Show, BrowserSession: session}).Managed.Overview.Devices; len(devices) != 1 || devices[0].ID != "laptop" {
		t.Errorf("%+v", devices)
	}
	if verdict, told, err := dial(t, r.socket).login(r.start("alice"), alice.code(t)); verdict != wire.Accept {
		t.Errorf("the next code: %v %q %v", verdict, told, err)
	}
	lines := map[string]audit.Record{}
	for _, line := range r.log.take(t, 4) {
		lines[line.Verdict] = line
	}
	for _, verdict := range []string{"sent", "opened", "changed"} {
		line := lines[verdict]
		if line.User != "alice" || line.Rule != "manage" || line.By != "self-service" || line.Peer != fmt.Sprintf("uid %d", portalUID) || strings.Contains(line.Reason, link) {
			t.Errorf("%s: %+v", verdict, line)
		}
	}
	if lines["accepted"].Rule != "totp:laptop" {
		t.Errorf("%+v", lines["accepted"])
	}
}

// Whoever took the page over learns of no name whether it is anybody's, and gets nothing
// without a code.
func TestPageAsksForEverybody(t *testing.T) {
	r, _, mails := newManagedRig(t)
	now := time.Now()
	r.portal.limits.askedBy.now = func() time.Time { return now }
	var answers []portalwire.Answer
	for n := range portalSourceAsks + 1 {
		user := "alice"
		if n%2 == 1 {
			user = "nobody"
		}
		answers = append(answers, r.askLink(t, user, "192.0.2.7"))
	}
	for n, answer := range answers {
		if want := n < portalSourceAsks; (answer.Managed != nil && answer.Managed.Asked) != want || !want && answer.Refused != portalwire.Locked {
			t.Errorf("%d: %+v", n, answer)
		}
	}
	link := strings.TrimPrefix((<-mails).Link, "https://otp.example.com/m/")
	if answer := r.answered(t, portalwire.Request{Op: portalwire.Enter, Link: link, Current: "alice"}); answer.Refused != portalwire.WrongCurrent {
		t.Errorf("%+v", answer)
	}
	for _, request := range []portalwire.Request{
		{Op: portalwire.Show, BrowserSession: link}, {Op: portalwire.Show, BrowserSession: strings.Repeat("0", 64) + "." + link},
		{Op: portalwire.Change, BrowserSession: link, Manage: portalwire.Manage{Do: portalwire.Recovery}},
	} {
		if answer := r.answered(t, request); answer.Refused != portalwire.Unknown {
			t.Errorf("%s: %+v", request.Op, answer)
		}
	}
	r.forgetLines()
}

// forgetLines waits for what is done behind the answers, and takes all lines of the log.
func (r *portalRig) forgetLines() (lines []audit.Record) {
	r.portal.later.Wait()
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	lines, r.log.all = r.log.all, nil
	return lines
}

// However many addresses strangers have, and however often they ask for names that they
// know or make up: somebody else is mailed a link, the names that they know are mailed no
// more than the bound, log and memory have an end, and people get in.
func TestStrangersAskWithoutEnd(t *testing.T) {
	r, alice, mails := newManagedRig(t)
	now := time.Now()
	r.portal.limits.now = func() time.Time { return now }
	r.portal.limits.askedBy.now = func() time.Time { return now }
	for _, name := range []string{"bob", "carol"} {
		_ = r.enroll(t, name)
		r.address(t, name)
	}
	for n := range 60 {
		source := fmt.Sprintf("2001:db8:0:%x::%x", n, n)
		for _, name := range []string{"bob", "carol", "nobody", "hunter2", "bob"} {
			if answer := r.askLink(t, name, source); answer.Managed == nil {
				t.Fatalf("%d: %+v", n, answer)
			}
		}
	}
	if answer := r.askLink(t, "alice", ""); answer.Managed == nil {
		t.Fatalf("alice is refused: %+v", answer)
	}
	r.portal.later.Wait()
	per := map[string]int{}
	link := ""
	for range len(mails) {
		mail := <-mails
		per[mail.User]++
		if mail.User == "alice" {
			link = strings.TrimPrefix(mail.Link, "https://otp.example.com/m/")
		}
	}
	if most := gate.LinksPerHour; per["alice"] != 1 || per["bob"] != most || per["carol"] != most || len(per) != 3 {
		t.Errorf("%v, expected alice once and the others %d times", per, most)
	}
	if r.answered(t, portalwire.Request{Op: portalwire.Enter, Link: link, Current: alice.code(t)}).Managed == nil {
		t.Error("alice does not enter")
	}
	refused := 0
	for _, line := range r.forgetLines() {
		if line.Verdict == "not-sent" {
			refused++
		}
	}
	if refused == 0 || refused > portalAskLines {
		t.Errorf("%d lines, expected %d at most", refused, portalAskLines)
	}
	for n := range 2 * portalCounted {
		if err := r.portal.limits.askedBy.change(fmt.Sprint(n)); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if noted := len(r.portal.limits.askedBy.changes); noted > portalCounted {
		t.Errorf("%d addresses are in memory", noted)
	}
}

// To look at the key of a new device once more is no change.
func TestShownKeyIsNoChange(t *testing.T) {
	r, alice, mails := newManagedRig(t)
	_ = r.askLink(t, "alice", "")
	link := strings.TrimPrefix((<-mails).Link, "https://otp.example.com/m/")
	session := r.answered(t, portalwire.Request{Op: portalwire.Enter, Link: link, Current: alice.code(t)}).Managed.Entered.BrowserSession
	_ = r.answered(t, portalwire.Request{Op: portalwire.Change, BrowserSession: session, Manage: portalwire.Manage{Do: portalwire.AddDevice, Name: "tablet"}})
	for n := range 2 * portalLinkChanges {
		if r.answered(t, portalwire.Request{Op: portalwire.Change, BrowserSession: session, Manage: portalwire.Manage{Do: portalwire.ShowDevice}}).Setup == nil {
			t.Fatalf("the key is not shown for the %d. time", n+1)
		}
	}
	r.forgetLines()
}

// The end waits for mails for less long than systemd waits for the end.
func TestEndIsSoonEnough(t *testing.T) {
	for _, name := range []string{"otpgate-verifierd-portal.service", "otpgate-verifierd.service"} {
		text, err := os.ReadFile(filepath.Join("../../packaging/systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no TimeoutStopSec=", name)
		}
		seconds, err := strconv.Atoi(string(found[1]))
		if least := portalEnding + portalanswer.GivingUp + 10*time.Second; err != nil || time.Duration(seconds)*time.Second < least {
			t.Errorf("%s: %d seconds, expected %v at least", name, seconds, least)
		}
	}
}

// A mail server that hangs holds up no answer, and no login.
func TestMailHoldsUpNothing(t *testing.T) {
	r, alice, mails := newManagedRig(t)
	for range cap(mails) {
		mails <- deliver.Message{}
	}
	for range 3 {
		_ = r.askLink(t, "alice", "")
	}
	if verdict, told, err := dial(t, r.socket).login(r.start("alice"), alice.code(t)); verdict != wire.Accept {
		t.Errorf("a login meanwhile: %v %q %v", verdict, told, err)
	}
	for range cap(mails) {
		<-mails
	}
	for range 3 {
		if (<-mails).Link == "" {
			t.Error("a mail without a link")
		}
	}
	testwait.Until(t, "the lines", func() bool {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		if len(r.log.all) < 4 {
			return false
		}
		r.log.all = nil
		return true
	})
}
