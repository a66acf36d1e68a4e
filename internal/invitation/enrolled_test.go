package invitation

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

func TestEnrolledNeedsACurrentCode(t *testing.T) {
	s := newSite(t)
	phone, enrolled := s.enroll(t)
	setup := s.begin(t, s.invite(t, false).Link)
	if !setup.Needs || setup.ID != "phone-2" {
		t.Errorf("needs %v for %s", setup.Needs, setup.ID)
	}
	s.differ(t, phone, setup)
	answer := s.answer(t, setup)
	for _, none := range []string{"", "12345", s.code(t, setup, 0)[:5]} {
		answer.Current = none
		s.refused(t, answer, ErrCurrent)
	}
	// The new device's own code is no code of an old one.
	answer.Current = s.code(t, setup, 0)
	s.refused(t, answer, ErrCurrent)
	answer.Current = s.wrong(t, phone)
	s.refused(t, answer, ErrCurrent)
	for _, key := range []ledger.Key{ledger.UserKey("alice"), {Kind: ledger.Source, Name: home}} {
		if entry, err := s.People.Ledger.View(t.Context(), key); err != nil || entry.Attempts.Wrong != 2 {
			t.Errorf("%v: %d wrong codes, %v, expected 2", key, entry.Attempts.Wrong, err)
		}
	}
	// A wrong first code does not use up the other one.
	answer.First, answer.Current = s.wrong(t, setup), s.code(t, phone, 0)
	if _, err := s.Confirm(t.Context(), answer); err == nil || s.devices(t) != "phone" {
		t.Errorf("%v, with %s", err, s.devices(t))
	}
	answer.First = s.code(t, setup, 0)
	if done := s.confirm(t, answer); done.Unseen != 2 || len(done.RecoveryCodes) != 0 || done.Replaced {
		t.Errorf("%+v", done)
	}
	if s.devices(t) != "phone phone-2" {
		t.Error(s.devices(t))
	}
	if s.logsIn(answer.Current) || !s.logsIn(s.code(t, setup, 1)) || !s.logsIn(s.code(t, phone, 1)) {
		t.Error("the current code was not used up, or a device does not count")
	}
	if !strings.Contains(s.Lines(), "verdict=enrolled rule=totp:phone-2 by=link reason=\"with a code of totp:phone\"") {
		t.Error(s.Lines())
	}

	s.Clock = s.Clock.Add(time.Minute)
	third := s.begin(t, s.invite(t, false).Link)
	answer = s.answer(t, third)
	answer.Current = enrolled.RecoveryCodes[0]
	s.confirm(t, answer)
	s.Clock = s.Clock.Add(time.Minute)
	fourth := s.begin(t, s.invite(t, false).Link)
	answer = s.answer(t, fourth)
	answer.Current = enrolled.RecoveryCodes[0]
	s.refused(t, answer, ErrCurrentUsed)
	if s.devices(t) != "phone phone-2 phone-3" {
		t.Error(s.devices(t))
	}
}

func TestGuessingCurrentCodesLocks(t *testing.T) {
	s := newSite(t)
	phone, _ := s.enroll(t)
	setup := s.begin(t, s.invite(t, false).Link)
	answer := s.answer(t, setup)
	answer.Current = s.wrong(t, phone)
	for range s.People.Config.Policy.Attempts.PerWindow - 1 {
		s.refused(t, answer, ErrCurrent)
	}
	for range 2 {
		if _, err := s.Confirm(t.Context(), answer); !isLocked(err) {
			t.Errorf("got %v", err)
		}
		answer.Current = s.code(t, phone, 0)
	}
	if s.devices(t) != "phone" {
		t.Error(s.devices(t))
	}
}

func isLocked(err error) bool {
	_, ok := errors.AsType[LockedError](err)
	return ok
}

// Who reads the mail has both the link and a code that was mailed.
func TestSentCodeIsNoCurrentOne(t *testing.T) {
	s := newSite(t)
	s.change(t, func(p *account.Person) {
		p.Email, p.Factors = "alice@example.com", []account.Factor{{ID: "mail", Kind: account.Email, Confirmed: s.Clock}}
	})
	further := Wanted{User: "alice", Factor: "phone", For: day}
	if _, err := s.Create(t.Context(), further); !errors.Is(err, ErrNoCurrent) {
		t.Errorf("a link that needs a code which nobody can give: %v", err)
	}
	var codes []string
	s.change(t, func(p *account.Person) { codes, p.Recovery = factor.NewRecovery("alice") })
	setup := s.begin(t, s.invite(t, false).Link)
	answer := s.answer(t, setup)
	answer.Current = "123456"
	if !setup.Needs {
		t.Error("needs nothing")
	}
	s.refused(t, answer, ErrCurrent)
	for _, code := range codes {
		if !s.logsIn(code) {
			t.Error("a recovery code does not log in")
		}
	}
	if _, err := s.Create(t.Context(), further); !errors.Is(err, ErrNoCurrent) {
		t.Errorf("no recovery code is left: %v", err)
	}
	// The admin's word is enough, and there is no device to take the place of.
	setup = s.begin(t, s.invite(t, true).Link)
	s.confirm(t, s.answer(t, setup))
	if s.devices(t) != "mail phone" {
		t.Error(s.devices(t))
	}
}

func TestReplace(t *testing.T) {
	s := newSite(t)
	lost, enrolled := s.enroll(t)
	link := s.invite(t, true).Link
	setup := s.begin(t, link)
	if setup.Needs || setup.ID != "phone" {
		t.Errorf("needs %v for %s", setup.Needs, setup.ID)
	}
	if !s.logsIn(s.code(t, lost, 0)) {
		t.Error("the old device counts no longer before the new one does")
	}
	s.Clock = s.Clock.Add(time.Minute)
	s.differ(t, lost, setup)
	if done := s.confirm(t, s.answer(t, setup)); !done.Replaced || len(done.RecoveryCodes) != 0 {
		t.Errorf("%+v", done)
	}
	if s.devices(t) != "phone" || s.logsIn(s.code(t, lost, 1)) || !s.logsIn(s.code(t, setup, 1)) || !s.logsIn(enrolled.RecoveryCodes[0]) {
		t.Error("the lost device counts, or the new one or a recovery code does not")
	}
}

// What an admin began stays the admin's, unless it has the very id.
func TestBesideWhatWaits(t *testing.T) {
	s := newSite(t)
	waiting := enrollment.NewFactor("tablet", s.People.Config.TOTP)
	s.change(t, func(p *account.Person) { p.Factors = []account.Factor{waiting} })
	link := s.invite(t, false).Link
	s.begin(t, link)
	setup := s.begin(t, link)
	s.confirm(t, s.answer(t, setup))
	person, err := s.load("alice")
	if err != nil || len(person.Factors) != 2 || person.Factors[0].ID != "tablet" || !person.Factors[0].Confirmed.IsZero() {
		t.Errorf("%v, %v", person.Factors, err)
	}
}

// A secret file that cannot be written costs nobody the link, and the code only.
func TestFileCannotBeWritten(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	inTheWay := filepath.Join(s.place().Path, ".new-alice.toml", "full")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Confirm(t.Context(), s.answer(t, setup)); err == nil {
		t.Fatal("written all the same")
	}
	if err := os.RemoveAll(filepath.Dir(inTheWay)); err != nil {
		t.Fatal(err)
	}
	if s.devices(t) != "" {
		t.Error("it counts")
	}
	s.looks(t, link, Ready)
	s.refused(t, s.answer(t, setup), enrollment.ErrCodeUsed)
	answer := s.answer(t, setup)
	answer.First = s.code(t, setup, 1)
	s.confirm(t, answer)
}

// Killed between the ledger and the file, nothing counts and nothing is good twice.
func TestStoppedOnTheWay(t *testing.T) {
	stopped := errors.New("power cut")
	for name, kind := range map[string]ledger.Kind{"before the code is used up": ledger.User, "before the link is": ledger.Link} {
		s := newSite(t)
		link := s.invite(t, false).Link
		setup := s.begin(t, link)
		store := s.People.Ledger
		s.People.Ledger = &hooked{Store: store, kind: kind, hook: func() error { return stopped }}
		s.refused(t, s.answer(t, setup), stopped)
		s.People.Ledger = store
		if s.devices(t) != "" {
			t.Errorf("%s: it counts", name)
		}
		s.looks(t, link, Ready)
		answer := s.answer(t, setup)
		answer.First = s.code(t, setup, 1)
		s.confirm(t, answer)
	}
}

func TestListCancelForget(t *testing.T) {
	s := newSite(t)
	if n, err := s.Cancel(t.Context(), "alice"); err != nil || n.Invitations != 0 {
		t.Errorf("nobody is invited: %d, %v", n, err)
	}
	first := s.invite(t, false)
	s.Clock = s.Clock.Add(time.Hour)
	second := s.invite(t, false)
	if _, err := s.Create(t.Context(), Wanted{User: "bob", Factor: "phone", For: day}); err != nil {
		t.Fatal(err)
	}
	s.begin(t, second.Link)
	s.looks(t, first.Link, Cancelled)
	states := func() string {
		all, err := s.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var text []string
		for _, one := range all {
			text = append(text, one.User+" "+one.State)
			if one.Ends.IsZero() || one.Made.IsZero() || one.Factor != "phone" {
				t.Errorf("%+v", one)
			}
		}
		return strings.Join(text, ", ")
	}
	if got := states(); got != "alice cancelled, alice ready, bob ready" {
		t.Error(got)
	}
	s.cancelled(t, 1)
	s.cancelled(t, 0)
	if person, err := s.load("alice"); err != nil || len(person.Factors) != 0 {
		t.Errorf("%d factors are left, %v", len(person.Factors), err)
	}
	s.Clock = first.Ends.Add(day)
	s.forget(t)
	if got := states(); got != "alice cancelled" {
		t.Error(got)
	}
	s.looks(t, first.Link, Unknown)
	s.Clock = second.Ends.Add(day)
	s.forget(t)
	if got := states(); got != "" {
		t.Error(got)
	}
	if left := everything(t, filepath.Join(s.state, "links")) + everything(t, filepath.Join(s.state, "invited")); left != "" {
		t.Errorf("%s is left", left)
	}
}

func (s *site) forget(t *testing.T) {
	t.Helper()
	if err := s.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Only the last browser's key waits, also where its device came to be called something
// else, and it has all its tries.
func TestEarlierKeyGoes(t *testing.T) {
	s := newSite(t)
	s.enroll(t)
	link := s.invite(t, false).Link
	if setup := s.begin(t, link); setup.ID != "phone-2" {
		t.Errorf("id %s", setup.ID)
	}
	s.change(t, func(p *account.Person) { p.Factors = p.Factors[1:] })
	for range 2 {
		setup := s.begin(t, link)
		if person, err := s.load("alice"); err != nil || len(person.Factors) != 1 || person.Factors[0].ID != "phone" {
			t.Errorf("%v, %v", person.Factors, err)
		}
		answer := s.answer(t, setup)
		answer.First = s.wrong(t, setup)
		for range wrongCodes - 1 {
			if _, err := s.Confirm(t.Context(), answer); !isWrong(err) {
				t.Errorf("got %v", err)
			}
		}
	}
}

// A newer link takes away what an earlier one showed, as cancelling does.
func TestKeyOfEarlierLinkGoes(t *testing.T) {
	s := newSite(t)
	s.begin(t, s.invite(t, false).Link)
	link := s.invite(t, false).Link
	if person, err := s.load("alice"); err != nil || len(person.Factors) != 0 {
		t.Errorf("%d factors are left, %v", len(person.Factors), err)
	}
	s.confirm(t, s.answer(t, s.begin(t, link)))
}

func isWrong(err error) bool {
	_, ok := errors.AsType[enrollment.WrongCodeError](err)
	return ok
}
