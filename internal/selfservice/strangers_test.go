package selfservice

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/invitation"
)

// However often strangers ask for somebody's link, that person is mailed no more than the
// bound, and always has a link that is good, by which to enter.
func TestStrangersAskForMe(t *testing.T) {
	s := newSite(t)
	s.People.Config.Sent.PerHour = 3
	for range 60 {
		s.Ask("alice", "2001:db8::1", "")
		s.Clock = s.Clock.Add(time.Minute)
	}
	if most := 3 + 3; s.count() > most {
		t.Errorf("%d mails in an hour, expected %d at most", s.count(), most)
	}
	s.Ask("alice", home, "")
	link := strings.TrimPrefix(s.last(t).Link, "https://otp.example.com/m/")
	if _, err := s.Enter(t.Context(), link, s.code(t, "phone"), home); err != nil {
		t.Error(err)
	}
}

// Whoever reports a login ends the other pages of that person, and the links to more. Once
// more it mails nothing, unless there is something new to end.
func TestReportEndsOtherPages(t *testing.T) {
	s := newSite(t)
	s.People.Config.Sent.PerHour = 50
	s.remembers(t, "198.51.100.7")
	other, link := s.enters(t), s.link(t)
	browser := s.enters(t)
	login := s.shows(t, browser).Logins[0].ID
	before := s.count()
	for range 3 {
		if err := s.Report(t.Context(), browser, login); err != nil {
			t.Fatal(err)
		}
	}
	if s.count() != before+2 || strings.Count(s.Lines(), "verdict=reported") != 1 {
		t.Errorf("%d mails\n%s", s.count()-before, s.Lines())
	}
	if mail := s.last(t); !strings.HasSuffix(mail.Change, " A remembered login was ended. 2 other pages that were open, or links to them, were ended too.") {
		t.Errorf("mailed %q", mail.Change)
	}
	s.over(t, other, invitation.ErrSessionEnded)
	if _, err := s.Enter(t.Context(), link, s.code(t, "phone"), home); !errors.Is(err, invitation.ErrCancelled) {
		t.Errorf("got %v", err)
	}
	s.shows(t, browser)
	s.enters(t)
	if err := s.Report(t.Context(), browser, login); err != nil {
		t.Fatal(err)
	}
	if mail := s.last(t); mail.Report || mail.Email != "alice@example.com" || !strings.Contains(mail.Change, "Another page that was open") {
		t.Errorf("%+v", mail)
	}
	// In another browser session, and on another server, it is the same report.
	before = s.count()
	if err := s.Report(t.Context(), s.enters(t), login); err != nil {
		t.Fatal(err)
	}
	for _, mail := range s.mails[before:] {
		if mail.Report {
			t.Errorf("%+v", mail)
		}
	}
}
