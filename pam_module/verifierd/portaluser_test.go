package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/portalwire"
	"github.com/otpgate/otpgate/internal/wire"
	"github.com/otpgate/otpgate/pam_module/fronts"
)

// startAt is what a verifier with those sockets does at its start, on a machine that
// has no user of the page's.
func startAt(t *testing.T, p *installation, names *nameService, log *records, at sockets) *serving {
	t.Helper()
	sink := counting{Sink: log, metrics: newMetrics()}
	engines := newEngines(p.config, sink, names)
	if err := engines.reload(); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(p.config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := begin(newServer(engines, &directory{names: names}, sink, unhurried), at, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.drain(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Only a verifier that has the page's socket looks for the page's user, and says that
// there is none.
func TestPageUserIsMissedByThePageAlone(t *testing.T) {
	p := newInstallation(t, "", "")
	p.configure(t, portalText(p, wide))
	names, log := &nameService{}, &records{}
	asked := make(chan string, 100)
	unknown := func(name string) error { asked <- name; return nss.ErrUnknownUser }
	names.accounts.Store(&unknown)
	logins, err := fronts.ListenAt(p.socket)
	if err != nil {
		t.Fatal(err)
	}
	s := startAt(t, p, names, log, sockets{logins: logins})
	for range 2 { // the second time the configuration is read anew
		if err := s.engines.reload(); err != nil {
			t.Fatal(err)
		}
		s.engines.portal.settle(patience)
	}
	if len(asked) > 0 {
		t.Errorf("a verifier of logins alone looks up %q", <-asked)
	}
	_ = log.take(t, 0)

	page, err := listenForPage(filepath.Join(p.dir, "run", "portal.sock"))
	if err != nil {
		t.Fatal(err)
	}
	_ = startAt(t, p, names, log, sockets{page: page})
	if name := <-asked; name != portalUser {
		t.Errorf("it looks up %q", name)
	}
	if line := log.take(t, 1)[0]; line.Rule != "configuration" || !strings.Contains(line.Reason, portalUser) {
		t.Errorf("%+v", line)
	}
}

// While it is not known who the page's user is, as its lookup hangs, everybody logs in.
func TestPageUserHangs(t *testing.T) {
	p := newInstallation(t, "", "")
	p.configure(t, portalText(p, wide))
	names, log := &nameService{}, &records{}
	asked, stuck := make(chan string, 100), make(chan struct{})
	hang := func(name string) error { asked <- name; <-stuck; return nil }
	names.accounts.Store(&hang)
	logins, err := fronts.ListenAt(p.socket)
	if err != nil {
		t.Fatal(err)
	}
	page, err := listenForPage(filepath.Join(p.dir, "run", "portal.sock"))
	if err != nil {
		t.Fatal(err)
	}
	_ = startAt(t, p, names, log, sockets{logins: logins, page: page})
	if name := <-asked; name != portalUser {
		t.Errorf("it looks up %q", name)
	}
	alice := p.enroll(t, "alice")
	if verdict, told, err := dial(t, p.socket).login(p.start("alice"), alice.code(t)); verdict != wire.Accept {
		t.Errorf("a login meanwhile: %v %q %v", verdict, told, err)
	}
	close(stuck)
}

// Whoever opens a link, begins and confirms enrolls while the directory service hangs:
// none is asked.
func TestPageAsksNoNameService(t *testing.T) {
	r := newPortalRig(t, wide)
	link := r.invite(t, "alice", false)
	names := newHeldNames()
	r.asksNames(t, names)
	defer close(names.answer)
	if page := r.answered(t, portalwire.Request{Op: portalwire.Open, Link: link}).Page; page == nil || page.State != portalwire.Ready {
		t.Errorf("%+v", page)
	}
	setup := r.begin(t, link)
	confirm := portalwire.Request{Op: portalwire.Confirm, BrowserSession: setup.BrowserSession, First: codeOf(t, setup, 0)}
	if enrolled := r.answered(t, confirm).Enrolled; enrolled == nil {
		t.Error("not enrolled")
	}
}
