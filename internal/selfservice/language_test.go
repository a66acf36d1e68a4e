package selfservice

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/deliver"
)

// What is mailed to the person is in the language of the page, at each change. The log, and
// whoever looks after the machine, get English.
func TestMailsInTheLanguageOfThePage(t *testing.T) {
	s := newSite(t)
	s.LinksPerHour = 50
	s.remembers(t, "198.51.100.7")
	s.Ask("alice", home, "de")
	if mail := s.last(t); mail.Language != "de" || mail.Link == "" {
		t.Errorf("%+v", mail)
	}
	browser := s.enters(t)
	browser.Language = "de"
	says := func(want string) {
		t.Helper()
		if mail := s.last(t); mail.Change != want || mail.Language != "de" {
			t.Errorf("mailed %q in %q, expected %q", mail.Change, mail.Language, want)
		}
	}
	if err := s.Rename(t.Context(), browser, "phone", "laptop"); err != nil {
		t.Fatal(err)
	}
	says("Das Gerät phone heißt jetzt laptop.")
	if !strings.Contains(s.Lines(), `reason="The device phone is called laptop now."`) {
		t.Error(s.Lines())
	}
	if err := s.Confirm(t.Context(), browser, s.first(t, s.adds(t, browser, "tablet"))); err != nil {
		t.Fatal(err)
	}
	says("Das Gerät tablet wurde hinzugefügt.")
	if _, err := s.NewRecovery(t.Context(), browser, s.code(t, "laptop")); err != nil {
		t.Fatal(err)
	}
	says("Es wurden neue Wiederherstellungscodes erstellt. Die alten gelten nicht mehr.")
	if err := s.Remove(t.Context(), browser, "tablet", s.code(t, "laptop")); err != nil {
		t.Fatal(err)
	}
	says("Das Gerät tablet wurde entfernt.")
	before := s.count()
	login := s.shows(t, browser).Logins[0]
	if err := s.Report(t.Context(), browser, login.ID); err != nil {
		t.Fatal(err)
	}
	german, err := catalogue.Find("de")
	if err != nil {
		t.Fatal(err)
	}
	day := german.Day(login.At, login.At.Local().Location())
	says("Eine Anmeldung von alice wurde als fremd gemeldet: " + day +
		", richtiger Code, totp:phone, Dienst sshd, von 198.51.100.7, auf server1. 0 gemerkte Anmeldungen wurden beendet. Eine weitere offene Seite oder ein Link dorthin gilt nicht mehr.")
	var report deliver.Message
	for _, mail := range s.mails[before:] {
		if mail.Report {
			report = mail
		}
	}
	if report.Language != "" || !strings.Contains(report.Change, "right code, totp:phone, service sshd") {
		t.Errorf("%+v", report)
	}
}

// A language that there is no file for costs nobody a mail.
func TestUnknownLanguage(t *testing.T) {
	s := newSite(t)
	s.Ask("alice", home, "tlh")
	if mail := s.last(t); mail.Link == "" {
		t.Errorf("%+v", mail)
	}
}
