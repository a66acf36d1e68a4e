package invitation

import (
	"errors"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/ledger/castest"
)

// newSiteInEtcd is a site whose secret files are in a service that servers share.
func newSiteInEtcd(t *testing.T) (*site, *castest.Service) {
	t.Helper()
	s := newSite(t)
	return s, enginetest.InEtcd(t, s.People.Gate)
}

// theirs is what somebody else makes of alice's file.
const theirs = "version = 1\nuser = 'alice'\n"

// Whoever is invited enrolls with the secret files in etcd as with a directory.
func TestInvitedInEtcd(t *testing.T) {
	s, _ := newSiteInEtcd(t)
	setup, _ := s.enroll(t)
	if s.devices(t) != "phone" || !s.logsIn(s.code(t, setup, 0)) {
		t.Errorf("%q counts, and does not log in", s.devices(t))
	}
}

// Whose file somebody else changed at that moment keeps the link.
func TestChangedWhileConfirmed(t *testing.T) {
	s, service := newSiteInEtcd(t)
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	service.Before(func(key string) { service.PutText(key, theirs) })
	s.refused(t, s.answer(t, setup), account.ErrChanged)
	service.Before(nil)
	s.looks(t, link, Ready)
	if s.devices(t) != "" {
		t.Errorf("%q counts", s.devices(t))
	}
	s.Clock = s.Clock.Add(time.Minute)
	setup = s.begin(t, link)
	s.confirm(t, s.answer(t, setup))
	s.looks(t, link, Used)
}

// Where nobody can tell whether the device counts, or will, the link is used up.
func TestConfirmedAndNobodyKnows(t *testing.T) {
	s, service := newSiteInEtcd(t)
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	service.Lose(func(key string) bool {
		service.PutText(key, theirs)
		return true
	})
	_, err := s.Confirm(t.Context(), s.answer(t, setup))
	if !errors.Is(err, account.ErrUnclear) {
		t.Errorf("%v", err)
	}
	service.Lose(nil)
	s.looks(t, link, Used)
}
