package invitation

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Whoever has the password of somebody who has not enrolled has links made for as long as
// the mail server is away. The entry that names them has a bound, beyond which nobody,
// not an admin either, could invite the person any more.
func TestLinksOfOnePersonAreFew(t *testing.T) {
	s, p := inviting(t)
	p.Fails = errors.New("the server is away")
	for range 2 * keptLinks {
		s.Clock = s.Clock.Add(4 * time.Minute)
		s.tries(t, gate.Fault, "policy.unenrolled")
	}
	few := func(when string) {
		t.Helper()
		index, err := s.People.Ledger.View(t.Context(), personKey("alice"))
		if err != nil {
			t.Fatal(err)
		}
		if len(index.Links) > keptLinks+1 {
			t.Errorf("%s: %d links are named", when, len(index.Links))
		}
		if files, err := filepath.Glob(filepath.Join(s.state, "links", "*")); err != nil || len(files) > len(index.Links) {
			t.Errorf("%s: %d links are in the ledger, %d are named, %v", when, len(files), len(index.Links), err)
		}
	}
	few("the server was away")
	p.Fails = nil
	for range 2 * keptLinks {
		s.Clock = s.Clock.Add(time.Hour)
		s.invited(t)
	}
	few("they were mailed")
	s.confirm(t, s.answer(t, s.begin(t, p.link(t))))
}

// A link that is good, and what it showed, is not forgotten for those that came after.
func TestGoodLinkIsKept(t *testing.T) {
	s, p := inviting(t)
	s.invited(t)
	good := p.link(t)
	setup := s.begin(t, good)
	one := ledger.Invitation{User: "alice", Purpose: enroll, Factor: "phone", Made: s.Clock, Ends: s.Clock.Add(3 * day), Cancelled: s.Clock}
	for range keptLinks + 3 {
		if _, _, err := s.make(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ForgetOf(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if links, err := s.ListOf(t.Context(), "alice"); err != nil || len(links) != keptLinks+1 {
		t.Errorf("%d links, %v", len(links), err)
	}
	s.looks(t, good, Ready)
	s.confirm(t, s.answer(t, setup))
}

// What a clock wrote down that was wrong keeps nobody from a link for as long as it was
// ahead.
func TestClockWasAhead(t *testing.T) {
	const ahead = 365 * day
	for what, grace := range map[string]config.Grace{"refused": {}, "in grace": {Until: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)}} {
		s, p := inviting(t)
		s.People.Config.Policy.Grace = grace
		s.Clock = s.Clock.Add(ahead)
		s.People.Login(t.Context(), s.request("alice"), &conversation{})
		wrong := p.link(t)
		s.begin(t, wrong)
		s.Clock = s.Clock.Add(-ahead)
		c := &conversation{}
		s.People.Login(t.Context(), s.request("alice"), c)
		if len(p.Messages) != 2 || !strings.Contains(c.told, "A link to set it up was mailed") {
			t.Errorf("%s: %d mails, told %q", what, len(p.Messages), c.told)
		}
		s.looks(t, wrong, Cancelled)
		s.looks(t, p.link(t), Ready)
	}
	s, p := inviting(t)
	s.Clock = s.Clock.Add(ahead)
	s.mailed(t, p, Wanted{})
	s.Clock = s.Clock.Add(-ahead)
	s.reminds(t, true)
}
