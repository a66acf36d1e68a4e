package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// An invited person enrolls by what the page asks, and the next code logs in.
func TestPage(t *testing.T) {
	r := newPortalRig(t, wide)
	link := r.invite(t, "alice", false)
	if page := r.answered(t, portalwire.Request{Op: portalwire.Open, Link: link}).Page; page.State != portalwire.Ready || page.Name != "a…e" {
		t.Errorf("%+v", page)
	}
	setup := r.begin(t, link)
	enrolled := r.answered(t, portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: codeOf(t, setup, 0)}).Enrolled
	if enrolled == nil || len(enrolled.RecoveryCodes) != 10 {
		t.Fatalf("not enrolled: %v", enrolled)
	}
	for _, line := range r.log.take(t, 2) {
		if line.User != "alice" || line.Remote != "192.0.2.1" || line.Peer != fmt.Sprintf("uid %d", portalUID) || line.By != "link" {
			t.Errorf("%+v", line)
		}
	}
	if verdict, told, err := dial(t, r.socket).login(r.start("alice"), codeOf(t, setup, 1)); verdict != wire.Accept {
		t.Errorf("the next code: %v %q %v", verdict, told, err)
	}
	if answer := r.answered(t, portalwire.Request{Op: portalwire.Begin, Link: link}); answer.Refused != portalwire.Used {
		t.Errorf("opened again: %q", answer.Refused)
	}
}

// The page's user is answered at its socket, and nobody else is; at the other one it is
// an ordinary user.
func TestWhoAsksForThePage(t *testing.T) {
	r := newPortalRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n")
	link := r.invite(t, "alice", false)
	request := portalwire.Request{Op: portalwire.Open, Link: link, Remote: "192.0.2.1"}
	for _, uid := range []int{rootUID, daemonUID, alicesUID, 1 << 20} {
		if answer, ok := r.sends(t, uid, request); ok {
			t.Errorf("uid %d is answered %v", uid, answer)
		}
		if line := r.log.take(t, 1)[0]; line.Rule != "peer" || !strings.Contains(line.Reason, fmt.Sprintf("peer uid %d pid ", uid)) || !strings.Contains(line.Reason, "expected the user otpgate-portal") {
			t.Errorf("uid %d: %+v", uid, line)
		}
	}
	_ = r.answered(t, request)
	alice := r.enroll(t, "alice")
	if verdict, _, err := dialAs(t, portalUID, r.socket).login(r.start("alice"), alice.code(t)); verdict == wire.Accept {
		t.Errorf("the page logs alice in: %v", err)
	}
	_ = r.log.take(t, 1)
	// The page is taken out of the configuration, and comes back: it need not be started
	// anew.
	r.configure(t, wide)
	if answer, ok := r.sends(t, portalUID, request); ok {
		t.Errorf("without [portal] it is answered %v", answer)
	}
	if line := r.log.take(t, 1)[0]; line.Rule != "portal" || !strings.Contains(line.Reason, "there is no [portal] in the configuration") {
		t.Errorf("%+v", line)
	}
	r.configure(t, portalText(r.installation, wide))
	_ = r.answered(t, request)
}

// What is wrong on this side is for the log, and not for the page.
func TestPageIsNotAnswered(t *testing.T) {
	r := newPortalRig(t, wide)
	link := r.invite(t, "alice", false)
	state := filepath.Join(r.dir, "state")
	for _, row := range []struct {
		name, want string
		spoil      func() error
		mend       func()
		request    portalwire.Request
	}{
		{"no address", "X-Forwarded-For", func() error { return nil }, func() {}, portalwire.Request{Op: portalwire.Open, Link: link, Remote: "-"}},
		{"the ledger", state, func() error { return os.Chmod(state, 0o777) }, func() { _ = os.Chmod(state, 0o700) }, portalwire.Request{Op: portalwire.Begin, Link: link}},
		{"the configuration", r.config, func() error { return os.WriteFile(r.config, []byte("broken"), 0o644) }, func() { r.configure(t, portalText(r.installation, wide)) }, portalwire.Request{Op: portalwire.Open, Link: link}},
	} {
		if err := row.spoil(); err != nil {
			t.Fatal(err)
		}
		if row.request.Remote == "" {
			row.request.Remote = "192.0.2.1"
		}
		if answer, ok := r.sends(t, portalUID, row.request); ok {
			t.Errorf("%s: answered %v", row.name, answer)
		}
		if line := r.log.take(t, 1)[0]; line.Verdict != "fault" || line.Rule != "portal" || !strings.Contains(line.Reason, row.want) || strings.Contains(line.Reason, link) {
			t.Errorf("%s: %+v", row.name, line)
		}
		row.mend()
	}
	_ = r.begin(t, link)
}

// A few requests are worked on at once. The others wait, and no login waits for them.
func TestPageHoldsUpNoLogin(t *testing.T) {
	r := newPortalRig(t, wide)
	alice := r.enroll(t, "alice")
	var links []string
	for n := range portalAtOnce {
		links = append(links, r.invite(t, fmt.Sprintf("guest%d", n), false))
	}
	release := make(chan struct{})
	hold := func(line audit.Record) {
		if line.Verdict == "opened" {
			<-release
		}
	}
	r.log.before.Store(&hold)
	var group sync.WaitGroup
	ask := func(request portalwire.Request, answered bool) {
		request.Remote = "192.0.2.1"
		group.Go(func() {
			if _, err := portalwireAs(t, r.page, request); err != nil && answered {
				t.Error(err)
			}
		})
	}
	for _, link := range links {
		ask(portalwire.Request{Op: portalwire.Begin, Link: link}, true)
	}
	testwait.Until(t, "all places taken", func() bool { return len(r.portal.working) == portalAtOnce })
	for range 2 * portalAtOnce {
		// On a slow machine the test may take longer than these wait.
		ask(portalwire.Request{Op: portalwire.Open, Link: links[0]}, false)
	}
	testwait.Until(t, "others waiting", func() bool {
		r.portal.admission.mu.Lock()
		defer r.portal.admission.mu.Unlock()
		return r.portal.admission.open == 3*portalAtOnce
	})
	if len(r.portal.working) != portalAtOnce {
		t.Errorf("%d are worked on at once", len(r.portal.working))
	}
	if verdict, told, err := dial(t, r.socket).login(r.start("alice"), alice.code(t)); verdict != wire.Accept {
		t.Errorf("a login beside them: %v %q %v", verdict, told, err)
	}
	close(release)
	group.Wait()
	testwait.Until(t, "their lines", func() bool {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		return len(r.log.all) > portalAtOnce
	})
}

// Ended links do not stay in the ledger, nor do addresses of two days ago. Others do.
func TestEndedLinksAreForgotten(t *testing.T) {
	r := newPortalRig(t, wide)
	r.portal.forgetter.mu.Lock()
	r.portal.forgetter.next = time.Time{}
	r.portal.forgetter.mu.Unlock()
	link := r.invite(t, "bob", false)
	past := func() time.Time { return time.Now().Add(-48 * time.Hour) }
	if _, err := r.invitations(t, past).Create(t.Context(), invitation.Wanted{User: "alice", Factor: "phone", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	files, err := ledger.OpenFiles(filepath.Join(r.dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	for address, ago := range map[string]time.Duration{"192.0.2.1": 2 * ledger.SourceKept, "192.0.2.2": 0} {
		err := files.Update(t.Context(), ledger.Key{Kind: ledger.Source, Name: address}, func(entry *ledger.Entry) error {
			entry.Attempts = ledger.Attempts{Wrong: 1, LastWrong: time.Now().Add(-ago)}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := r.names(t, "links"); len(got) != 2 {
		t.Fatalf("the ledger has %q", got)
	}
	if page := r.answered(t, portalwire.Request{Op: portalwire.Open, Link: link}).Page; page == nil || page.State != portalwire.Ready {
		t.Errorf("%+v", page)
	}
	testwait.Until(t, "the ended link to be gone", func() bool { return len(r.names(t, "links")) == 1 && len(r.names(t, "invited")) == 1 })
	if page := r.answered(t, portalwire.Request{Op: portalwire.Open, Link: link}).Page; page == nil || page.State != portalwire.Ready {
		t.Errorf("%+v", page)
	}
	// Not at each request: once a day.
	r.portal.forgetter.done.Wait()
	if got := r.names(t, "sources"); !slices.Equal(got, []string{"192.0.2.2"}) {
		t.Errorf("the ledger has %q", got)
	}
	if _, err := r.invitations(t, past).Create(t.Context(), invitation.Wanted{User: "alice", Factor: "phone", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	_ = r.answered(t, portalwire.Request{Op: portalwire.Open, Link: link})
	r.portal.forgetter.done.Wait()
	if got := r.names(t, "links"); len(got) != 2 {
		t.Errorf("the ledger has %q", got)
	}
	r.portal.forgetter.mu.Lock()
	r.portal.forgetter.clock = func() time.Time { return time.Now().Add(forgetEvery) }
	r.portal.forgetter.mu.Unlock()
	_ = r.answered(t, portalwire.Request{Op: portalwire.Open, Link: link})
	r.portal.forgetter.done.Wait()
	if got := r.names(t, "links"); len(got) != 1 {
		t.Errorf("the ledger has %q", got)
	}
}
