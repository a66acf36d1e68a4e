package selfservice

import (
	"errors"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/invitation"
)

// Whoever leaves in the middle of adding a device finds its name free in the next browser session,
// and no keys that nobody sees fill the file up.
func TestKeysOfSessionsThatAreOver(t *testing.T) {
	for _, pause := range []time.Duration{20 * time.Minute, 4 * time.Hour} {
		s := newSite(t)
		for n := range account.MaxFactors + 1 {
			browser := s.enters(t)
			s.adds(t, browser, "tablet")
			if n%2 == 0 {
				if err := s.Leave(t.Context(), browser); err != nil {
					t.Fatal(err)
				}
			}
			s.Clock = s.Clock.Add(pause)
		}
		if factors := len(s.alice(t).Factors); factors > 2 {
			t.Errorf("%v: %d devices", pause, factors)
		}
		browser := s.enters(t)
		setup := s.adds(t, browser, "tablet")
		if err := s.Confirm(t.Context(), browser, s.first(t, setup)); err != nil || s.devices(t) != "phone tablet" {
			t.Errorf("%v: %v, %s", pause, err, s.devices(t))
		}
	}
}

// One that another browser is adding now is not dropped.
func TestKeyOfAnOpenSession(t *testing.T) {
	s := newSite(t)
	other := s.enters(t)
	setup := s.adds(t, other, "tablet")
	browser := s.enters(t)
	if _, err := s.Add(t.Context(), browser, "tablet"); !errors.Is(err, ErrTakenName) {
		t.Errorf("got %v", err)
	}
	s.adds(t, browser, "laptop")
	if err := s.Confirm(t.Context(), other, s.first(t, setup)); err != nil {
		t.Error(err)
	}
}

// Of somebody who never comes back the key is forgotten like those of invitations.
func TestKeyIsForgotten(t *testing.T) {
	s := newSite(t)
	browser := s.enters(t)
	s.adds(t, browser, "tablet")
	if err := s.links().Forget(t.Context()); err != nil || len(s.alice(t).Factors) != 2 {
		t.Errorf("a session that goes on lost its key: %v", err)
	}
	s.Clock = s.Clock.Add(20 * time.Minute)
	if err := s.links().Forget(t.Context()); err != nil || len(s.alice(t).Factors) != 1 {
		t.Errorf("%v, %d devices", err, len(s.alice(t).Factors))
	}
}

// However many links are mailed that nobody opens, it is known what became of invitations, and
// whoever is on the page stays there, with what was shown.
func TestManyLinksPushNothingOut(t *testing.T) {
	s := newSite(t)
	s.LinksPerHour = 100
	invitations := s.links()
	if _, err := invitations.Create(t.Context(), invitation.Wanted{User: "alice", Factor: "desk", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := invitations.Withdraw(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	browser := s.enters(t)
	setup := s.adds(t, browser, "tablet")
	for range 40 {
		s.link(t)
	}
	if err := invitations.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if listed, err := invitations.ListOf(t.Context(), "alice"); err != nil || len(listed) != 1 || listed[0].State != invitation.Cancelled.String() {
		t.Errorf("%+v, %v", listed, err)
	}
	if err := s.Confirm(t.Context(), browser, s.first(t, setup)); err != nil {
		t.Error(err)
	}
}
