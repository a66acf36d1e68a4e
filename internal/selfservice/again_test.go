package selfservice

import (
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/invitation"
)

// Whoever comes to a browser that somebody left open adds a device, and gets no further by
// it: neither its codes, whenever, nor anything that came with it remove what was there
// before, or make recovery codes. Nor do they lock the owner out.
func TestYoungDeviceShowsNothing(t *testing.T) {
	for _, left := range []bool{true, false} {
		s := newSite(t)
		if !left {
			s.edit(t, func(person *account.Person) { person.Recovery = account.Recovery{} })
		}
		browser := s.enters(t)
		if err := s.Confirm(t.Context(), browser, s.first(t, s.adds(t, browser, "tablet"))); err != nil {
			t.Fatal(err)
		}
		if made := len(s.alice(t).Recovery.Hashes); (made > 0) != left {
			t.Errorf("there are %d recovery codes, which came with the device", made)
		}
		for range s.People.Config.Policy.Attempts.PerWindow {
			if err := s.Remove(t.Context(), browser, "phone", s.code(t, "tablet")); !errors.Is(err, ErrYoungDevice) {
				t.Fatalf("removed by the new one: %v", err)
			}
			if codes, err := s.NewRecovery(t.Context(), browser, s.codeNow(t, "tablet")); !errors.Is(err, ErrYoungDevice) || len(codes) != 0 {
				t.Fatalf("%d recovery codes by the new one: %v", len(codes), err)
			}
		}
		if err := s.Rename(t.Context(), browser, "tablet", "laptop"); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(t.Context(), browser, "phone", s.code(t, "laptop")); !errors.Is(err, ErrYoungDevice) {
			t.Errorf("removed by the new one with another name: %v", err)
		}
		if err := s.Remove(t.Context(), browser, "laptop", s.wrong(t)); !errors.Is(err, invitation.ErrCurrent) {
			t.Errorf("got %v", err)
		}
		// The owner, by what was there before.
		if err := s.Remove(t.Context(), browser, "laptop", s.code(t, "phone")); err != nil || s.devices(t) != "phone" {
			t.Errorf("%v, %s", err, s.devices(t))
		}
	}
}

// In the next browser session the device is as good as any.
func TestDeviceOfAnEarlierSession(t *testing.T) {
	s := newSite(t)
	browser := s.enters(t)
	if err := s.Confirm(t.Context(), browser, s.first(t, s.adds(t, browser, "tablet"))); err != nil {
		t.Fatal(err)
	}
	entered, err := s.Enter(t.Context(), s.link(t), s.code(t, "tablet"), home)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), BrowserSession{Token: entered.BrowserSession, Remote: home}, "phone", s.code(t, "tablet")); err != nil || s.devices(t) != "tablet" {
		t.Errorf("%v, %s", err, s.devices(t))
	}
}
