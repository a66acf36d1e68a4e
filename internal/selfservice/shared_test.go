package selfservice

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger/castest"
)

// newSiteInEtcd is a site whose secret files are in a service that servers share.
func newSiteInEtcd(t *testing.T) (*site, *castest.Service) {
	t.Helper()
	s := newSite(t)
	alice := s.alice(t)
	if err := os.RemoveAll(s.People.Config.Paths.Users); err != nil {
		t.Fatal(err)
	}
	service := enginetest.InEtcd(t, s.People.Gate)
	s.edit(t, func(person *account.Person) { *person = alice })
	return s, service
}

func ofPeople(key string) bool { return strings.HasPrefix(key, "people/") }

// Whoever looks after their devices on one server has done so on all, also where etcd's
// answers to that are lost.
func TestManagedInEtcd(t *testing.T) {
	for _, lost := range []bool{false, true} {
		s, service := newSiteInEtcd(t)
		browser := s.enters(t)
		service.Lose(func(key string) bool { return lost && ofPeople(key) })
		setup, err := s.Add(t.Context(), browser, "tablet")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Confirm(t.Context(), browser, gatetest.CodeOf(t, setup.URI, s.Clock)); err != nil {
			t.Fatal(err)
		}
		if err := s.Rename(t.Context(), browser, "tablet", "pad"); err != nil {
			t.Fatal(err)
		}
		codes, err := s.NewRecovery(t.Context(), browser, s.code(t, "phone"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Remove(t.Context(), browser, "phone", s.code(t, "phone")); err != nil {
			t.Fatal(err)
		}
		service.Lose(nil)
		if got := s.devices(t); got != "pad" {
			t.Errorf("%q count", got)
		}
		other := *s.People.Gate
		other.Config.Paths.Users = "/none"
		other.Accounts = enginetest.Files{Place: gate.PlaceOf(other.Config)}
		s.People.Gate = &other
		for _, code := range []string{s.code(t, "pad"), codes[0]} {
			if verdict := s.logsIn(t, "192.0.2.7", code); verdict != gate.Accept {
				t.Errorf("on another server: %v", verdict)
			}
		}
		if verdict := s.logsIn(t, "192.0.2.7", s.recovery[0]); verdict == gate.Accept {
			t.Error("an old recovery code is good on another server")
		}
	}
}

// Where nobody can tell whether a change was made nothing is said of it but that, and the
// browser session is over if somebody else changed the file.
func TestManagedAndNobodyKnows(t *testing.T) {
	s, service := newSiteInEtcd(t)
	browser := s.enters(t)
	code := s.code(t, "phone")
	service.Lose(func(key string) bool {
		if ofPeople(key) {
			service.PutText(key, "version = 1\nuser = 'alice'\nemail = 'alice@example.com'\n")
		}
		return ofPeople(key)
	})
	if codes, err := s.NewRecovery(t.Context(), browser, code); !errors.Is(err, account.ErrUnclear) || codes != nil {
		t.Errorf("%d codes, %v", len(codes), err)
	}
	service.Lose(nil)
	if _, err := s.Show(t.Context(), browser); err == nil {
		t.Error("the browser session goes on")
	}
}

// Of two who change somebody's devices at once one is told that it was not done.
func TestManagedMeanwhile(t *testing.T) {
	s, service := newSiteInEtcd(t)
	browser := s.enters(t)
	before := s.alice(t)
	service.Before(func(key string) {
		if ofPeople(key) {
			service.PutText(key, "version = 1\nuser = 'alice'\n")
		}
	})
	if err := s.Rename(t.Context(), browser, "phone", "mobile"); !errors.Is(err, account.ErrChanged) {
		t.Errorf("%v", err)
	}
	service.Before(nil)
	if person := s.alice(t); len(before.Factors) == 0 || len(person.Factors) > 0 {
		t.Errorf("%+v", person.Factors)
	}
}
