package selfservice

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Somebody enrolled asks for a link, enters by it and a code, and sees what is there.
func TestEnter(t *testing.T) {
	s := newSite(t)
	s.remembers(t, "198.51.100.7", "198.51.100.8")
	if got := s.logsIn(t, "198.51.100.9", s.wrong(t)); got.String() != "denied" {
		t.Fatal(got)
	}
	link := s.link(t)
	if mail := s.last(t); mail.Email != "alice@example.com" || !mail.Manage || mail.Host != "server1" || !mail.Expires.Equal(s.Clock.Add(time.Hour)) {
		t.Errorf("%+v", mail)
	}
	for range 3 {
		if page, err := s.Look(t.Context(), link); err != nil || page.State != invitation.Ready || page.Name != "a…e" || !page.At.Equal(s.Clock.Add(time.Hour)) {
			t.Fatalf("%+v, %v", page, err)
		}
	}
	entered, err := s.Enter(t.Context(), link, s.code(t, "phone"), home)
	if err != nil || !entered.Ends.Equal(s.Clock.Add(15*time.Minute)) {
		t.Fatalf("%v, %v", entered, err)
	}
	o := s.shows(t, BrowserSession{Token: entered.BrowserSession, Remote: home})
	if o.User != "alice" || len(o.Devices) != 1 || o.Devices[0].ID != "phone" || o.RecoveryLeft != 10 || len(o.Sessions) != 2 || len(o.Logins) != 3 ||
		o.Sessions[0].Address != "198.51.100.8" || !o.Logins[0].Denied || o.Logins[1].Address != "198.51.100.8" || o.Logins[1].Rule != "totp:phone" {
		t.Errorf("%+v", o)
	}
	page, err := s.Look(t.Context(), link)
	if err != nil || page.State != invitation.Used {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := s.Enter(t.Context(), link, s.code(t, "phone"), home); !errors.Is(err, invitation.ErrUsed) {
		t.Errorf("a second time: %v", err)
	}
	s.Clock = s.Clock.Add(15 * time.Minute)
	s.over(t, BrowserSession{Token: entered.BrowserSession, Remote: home}, invitation.ErrSessionEnded)
}

// A link alone opens nothing, and wrong codes count; so do wrong links and browser sessions.
func TestWrongCodes(t *testing.T) {
	s := newSite(t)
	s.People.Config.Policy.Attempts.PerWindow = 3
	link := s.link(t)
	for _, code := range []string{"", "12345", "alice"} {
		if _, err := s.Enter(t.Context(), link, code, home); !errors.Is(err, invitation.ErrCurrent) {
			t.Errorf("%q: %v", code, err)
		}
	}
	var locked invitation.LockedError
	for n := range 3 {
		if _, err := s.Enter(t.Context(), link, s.wrong(t), home); n < 2 && !errors.Is(err, invitation.ErrCurrent) || n == 2 && !errors.As(err, &locked) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if _, err := s.Enter(t.Context(), link, s.code(t, "phone"), home); !errors.As(err, &locked) {
		t.Errorf("a right code while wrong ones lock: %v", err)
	}
	// The page's wrong codes lock the page alone.
	if got := s.logsIn(t, "198.51.100.9", s.code(t, "phone")); got.String() != "accepted" {
		t.Errorf("a login is %s", got)
	}
	s.Clock = s.Clock.Add(11 * time.Minute)
	entered, err := s.Enter(t.Context(), link, s.recovery[0], home)
	if err != nil {
		t.Fatal(err)
	}
	s.People.Config.Policy.Attempts.PerSource = 3
	elsewhere := "203.0.113.9"
	for n, wrong := range []func() error{
		func() error { _, err := s.Enter(t.Context(), strings.Repeat("a", 32), "123456", elsewhere); return err },
		func() error {
			_, err := s.Show(t.Context(), BrowserSession{Token: strings.Repeat("0", 64) + "." + strings.Repeat("a", 32), Remote: elsewhere})
			return err
		},
		func() error { _, err := s.Show(t.Context(), BrowserSession{Token: "x", Remote: elsewhere}); return err },
	} {
		if err := wrong(); !errors.Is(err, invitation.ErrUnknown) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if _, err := s.Show(t.Context(), BrowserSession{Token: entered.BrowserSession, Remote: elsewhere}); !errors.As(err, &locked) {
		t.Errorf("after wrong links: %v", err)
	}
	if _, err := s.Show(t.Context(), BrowserSession{Token: entered.BrowserSession, Remote: home}); err != nil {
		t.Error(err)
	}
}

// Links of one kind are none of the other.
func TestKindsOfLinks(t *testing.T) {
	s := newSite(t)
	invitations := invitation.Invitations{People: s.People, Random: s.Random}
	created, err := invitations.Create(t.Context(), invitation.Wanted{User: "alice", Factor: "tablet", For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if page, err := s.Look(t.Context(), created.Link); err != nil || page.State != invitation.Unknown {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := s.Enter(t.Context(), created.Link, s.code(t, "phone"), home); !errors.Is(err, invitation.ErrUnknown) {
		t.Errorf("an invitation opens the page: %v", err)
	}
	link := s.link(t)
	if _, err := invitations.Begin(t.Context(), link, home); !errors.Is(err, invitation.ErrUnknown) {
		t.Errorf("it is an invitation: %v", err)
	}
	// Neither ends the other, and a list of invitations has invitations alone.
	if page, err := invitations.Look(t.Context(), created.Link); err != nil || page.State != invitation.Ready {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := invitations.Create(t.Context(), invitation.Wanted{User: "alice", Factor: "tablet", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if listed, err := invitations.ListOf(t.Context(), "alice"); err != nil || len(listed) != 2 {
		t.Errorf("%+v, %v", listed, err)
	}
	if _, err := s.Enter(t.Context(), link, s.code(t, "phone"), home); err != nil {
		t.Error(err)
	}
}

// Whose codes are sent, to the same mailbox, has shown nothing by one. Nor has anybody
// who is disabled or gone.
func TestWhoCannotEnter(t *testing.T) {
	s := newSite(t)
	s.edit(t, func(person *account.Person) {
		person.Factors = []account.Factor{{ID: "mail", Kind: account.Email, Confirmed: s.Clock}}
		person.Recovery = account.Recovery{}
	})
	link := s.link(t)
	if _, err := s.Look(t.Context(), link); !errors.Is(err, ErrNoDevice) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Enter(t.Context(), link, "123456", home); !errors.Is(err, ErrNoDevice) {
		t.Errorf("got %v", err)
	}
	var codes []string
	s.edit(t, func(person *account.Person) { codes, person.Recovery = factor.NewRecovery("alice") })
	link = s.link(t)
	if _, err := s.Look(t.Context(), link); err != nil {
		t.Error(err)
	}
	entered, err := s.Enter(t.Context(), link, codes[0], home)
	if err != nil {
		t.Fatal(err)
	}
	s.edit(t, func(person *account.Person) { person.Enabled = false })
	s.over(t, BrowserSession{Token: entered.BrowserSession, Remote: home}, invitation.ErrDisabled)
	if err := s.People.Remove(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if page, err := s.Look(t.Context(), link); err != nil || page.State != invitation.Unknown {
		t.Errorf("%+v, %v", page, err)
	}
	s.over(t, BrowserSession{Token: entered.BrowserSession, Remote: home}, invitation.ErrUnknown)
}

// A browser session ends with what an admin does to the person's devices, with another's browser, and
// when it is left.
func TestSessionEnds(t *testing.T) {
	s := newSite(t)
	browser := s.enters(t)
	other := s.enters(t)
	s.shows(t, browser)
	if err := s.Leave(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	s.over(t, other, invitation.ErrSessionEnded)
	stolen, _, _ := strings.Cut(browser.Token, ".")
	s.over(t, BrowserSession{Token: stolen + "." + strings.Repeat("a", 32), Remote: home}, invitation.ErrSessionEnded)
	s.edit(t, func(person *account.Person) { person.Factors[0].ID = "stolen" })
	s.over(t, browser, invitation.ErrOvertaken)
	if err := s.EndSession(t.Context(), browser, "", true); !errors.Is(err, invitation.ErrOvertaken) {
		t.Errorf("got %v", err)
	}
}

// Nothing is mailed to whom there is nothing to mail, nor too often, and no log has what
// was typed in the place of a name.
func TestAsk(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"bob", "Alice", "../alice", "hunter2 my password", ""} {
		s.Ask(name, home, "")
	}
	if s.count() != 0 || strings.Contains(s.Lines(), "hunter2") || strings.Contains(s.Lines(), "bob") || strings.Count(s.Lines(), errNobody.Error()) != 5 {
		t.Errorf("%d mails\n%s", s.count(), s.Lines())
	}
	s.LinksPerHour = 2
	_, _ = s.link(t), s.link(t)
	s.Ask("alice", home, "")
	if s.count() != 2 || !strings.Contains(s.Lines(), "2 links were mailed in an hour") {
		t.Errorf("%d mails\n%s", s.count(), s.Lines())
	}
	s.Clock = s.Clock.Add(30 * time.Minute)
	_ = s.link(t)
	s.Clock = s.Clock.Add(30 * time.Minute)
	s.fails = errors.New("mail server away")
	s.Ask("alice", home, "")
	if !strings.Contains(s.Lines(), "mail server away") {
		t.Error(s.Lines())
	}
	s.fails = nil
	s.Clock = s.Clock.Add(time.Hour)
	for what, change := range map[string]func(*account.Person){
		"the secret file has no email": func(person *account.Person) { person.Email = "" },
		"not enrolled":                 func(person *account.Person) { person.Enabled = false },
	} {
		s.edit(t, change)
		s.Ask("alice", home, "")
		if !strings.Contains(s.Lines(), what) {
			t.Errorf("%s:\n%s", what, s.Lines())
		}
		s.edit(t, func(person *account.Person) { person.Email, person.Enabled = "alice@example.com", true })
	}
	if s.count() != 3 {
		t.Errorf("%d mails", s.count())
	}
	s.Later = full{}
	s.Ask("alice", home, "")
	if !strings.Contains(s.Lines(), errFull.Error()) {
		t.Error(s.Lines())
	}
}

// full has no place for anything.
type full struct{ atOnce }

var errFull = errors.New("no place")

func (full) Look(job Job) { job.Lost(errFull) }

// Old links are forgotten, and no file has one.
func TestLinksAreKeptNowhere(t *testing.T) {
	s := newSite(t)
	first := s.link(t)
	entered, err := s.Enter(t.Context(), first, s.code(t, "phone"), home)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(entered.BrowserSession, ".")
	all := ""
	for _, dir := range []string{s.People.Config.Paths.State, s.People.Config.Paths.Users} {
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			all += path + string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	backup, err := s.People.Backup(t.Context(), "alice")
	if err != nil || len(backup.Entry.Recent) != 0 || len(backup.Entry.Links) != 0 {
		t.Errorf("%+v, %v", backup.Entry, err)
	}
	for _, hush := range []string{first, secret} {
		if strings.Contains(all, hush) || strings.Contains(s.Lines(), hush) {
			t.Errorf("%s is kept", hush)
		}
	}
	s.Clock = s.Clock.Add(2 * time.Hour)
	_ = s.link(t)
	if links := s.entry(t, invitation.PersonKey("alice")).Links; len(links) != 1 {
		t.Errorf("%+v", links)
	}
	key, _ := invitation.KeyOf(first, "")
	if entry := s.entry(t, key); entry.Invitation != (ledger.Invitation{}) {
		t.Errorf("%+v", entry)
	}
}

// Remembered logins are ended, one or all, and the next login is asked.
func TestEndSessions(t *testing.T) {
	s := newSite(t)
	s.remembers(t, "198.51.100.7", "198.51.100.8", "198.51.100.9")
	browser := s.enters(t)
	before := s.shows(t, browser).Sessions
	if err := s.EndSession(t.Context(), browser, before[0].ID, false); err != nil {
		t.Fatal(err)
	}
	if mail := s.last(t); mail.Change != "A remembered login was ended." || mail.Link != "" || mail.Remote != home || mail.Email != "alice@example.com" {
		t.Errorf("%+v", mail)
	}
	if got := s.logsIn(t, "198.51.100.9", ""); got.String() == "not-asked" {
		t.Error("an ended login is let in")
	}
	if got := s.logsIn(t, "198.51.100.8", ""); got.String() != "not-asked" {
		t.Errorf("another one is %s", got)
	}
	if err := s.EndSession(t.Context(), browser, before[0].ID, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	mails := s.count()
	for range 2 {
		if err := s.EndSession(t.Context(), browser, "", true); err != nil {
			t.Fatal(err)
		}
	}
	if left := s.shows(t, browser).Sessions; len(left) != 0 || s.count() != mails+1 {
		t.Errorf("%+v, %d mails", left, s.count()-mails)
	}
	if !strings.Contains(s.Lines(), `user=alice remote=192.0.2.1 verdict=changed rule=manage by=self-service reason="2 remembered logins were ended."`) {
		t.Error(s.Lines())
	}
	// A mail server that is away undoes nothing.
	s.fails = errors.New("mail server away")
	s.remembers(t, "198.51.100.7")
	if err := s.EndSession(t.Context(), browser, "", true); err != nil || !strings.Contains(s.Lines(), "verdict=not-sent rule=manage by=self-service reason=\"mail server away\"") {
		t.Errorf("%v\n%s", err, s.Lines())
	}
}
