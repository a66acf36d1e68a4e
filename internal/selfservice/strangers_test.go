package selfservice

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

// However often strangers ask for somebody's link, for a day, that person is mailed no more
// than the bound, always has a link that is good, by which to enter, and is sent codes.
func TestStrangersAskForMe(t *testing.T) {
	s := newSite(t)
	const hours = 24
	for minute := range hours * 60 {
		s.Ask("alice", "2001:db8::1", "")
		s.Clock = s.Clock.Add(time.Minute)
		if last := s.last(t); !s.Clock.Before(last.Expires) {
			t.Fatalf("after %d minutes no link is good", minute)
		}
	}
	if most := gate.LinksPerHour * (hours + 1); s.count() > most {
		t.Errorf("%d mails in a day, expected %d at most", s.count(), most)
	}
	s.Ask("alice", home, "")
	entry := s.entry(t, ledger.UserKey("alice"))
	if codes, until := s.People.SentLately(entry); codes != 0 || !until.IsZero() {
		t.Errorf("%d codes count as sent, none before %s", codes, until)
	}
	if all := s.People.PeersLately(entry); len(all) != 1 || all[0].SentCodes != gate.LinksPerHour || all[0].NextSend.IsZero() {
		t.Errorf("otpctl status shows %+v", all)
	}
	link := strings.TrimPrefix(s.last(t).Link, "https://otp.example.com/m/")
	if _, err := s.Enter(t.Context(), link, s.code(t, "phone"), home); err != nil {
		t.Error(err)
	}
	if _, err := s.People.Unlock(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	s.link(t)
}

// noPlace has no place for links.
type noPlace struct{ atOnce }

func (noPlace) Link(job Job) { job.Lost(ErrBusy) }

// Whoever has links lost by asking for too many takes none from the people they are for.
func TestLostLinksCountForNobody(t *testing.T) {
	s := newSite(t)
	s.Later = noPlace{}
	for range 2 * gate.LinksPerHour {
		s.Ask("alice", "2001:db8::1", "")
	}
	if s.count() != 0 || strings.Count(s.Lines(), ErrBusy.Error()) != 2*gate.LinksPerHour {
		t.Errorf("%d mails\n%s", s.count(), s.Lines())
	}
	s.Later = atOnce{}
	for range gate.LinksPerHour {
		s.link(t)
	}
}

// A mail that failed counts for nobody, where it is known that nobody has it. Beyond a few in an
// hour it does, so that the mail server is not asked without end.
func TestFailedMailsCountForNobody(t *testing.T) {
	s := newSite(t)
	away := errors.New("mail server away")
	s.fails = deliver.NotSent(away)
	for range gate.LinksPerHour {
		s.Ask("alice", home, "")
	}
	s.fails = nil
	for range gate.LinksPerHour {
		s.link(t)
	}
	if all := s.People.PeersLately(s.entry(t, ledger.UserKey("alice"))); len(all) != 1 || all[0].SentCodes != gate.LinksPerHour {
		t.Errorf("otpctl status shows %+v", all)
	}

	s = newSite(t)
	s.fails = deliver.NotSent(away)
	for range 10 * gate.FailedLinksPerHour {
		s.Ask("alice", home, "")
	}
	if tried, most := strings.Count(s.Lines(), away.Error()), gate.FailedLinksPerHour+gate.LinksPerHour; tried != most {
		t.Errorf("tried %d times, expected %d", tried, most)
	}

	s = newSite(t)
	s.fails = away // and perhaps it has the mail
	for range gate.LinksPerHour + 1 {
		s.Ask("alice", home, "")
	}
	if tried := strings.Count(s.Lines(), away.Error()); tried != gate.LinksPerHour {
		t.Errorf("tried %d times, expected %d", tried, gate.LinksPerHour)
	}
}

// Whoever reports a login ends the other pages of that person, and the links to more. Once
// more it mails nothing, unless there is something new to end.
func TestReportEndsOtherPages(t *testing.T) {
	s := newSite(t)
	s.LinksPerHour = 50
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
