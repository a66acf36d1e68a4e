package invitation

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/ledger"
)

// logged expects texts in the log.
func (s *site) logged(t *testing.T, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if !strings.Contains(s.Lines(), want) {
			t.Errorf("no %s in %s", want, s.Lines())
		}
	}
}

func TestEnrollByLink(t *testing.T) {
	s := newSite(t)
	created := s.invite(t, false)
	before := everything(t, s.state) + everything(t, s.People.Config.Paths.Users)
	for range 100 {
		if page := s.looks(t, created.Link, Ready); page.Name != "a…e" || !page.At.Equal(created.Ends) {
			t.Fatalf("%+v", page)
		}
	}
	if after := everything(t, s.state) + everything(t, s.People.Config.Paths.Users); after != before {
		t.Error("looking at a link changed something")
	}
	setup := s.begin(t, created.Link)
	if setup.Needs || setup.ID != "phone" || setup.Digits != 6 || setup.Period != 30 || setup.Algorithm != "SHA1" || !setup.Ends.Equal(s.Clock.Add(15*time.Minute)) {
		t.Errorf("%d digits, %d s, %s, id %s, until %v", setup.Digits, setup.Period, setup.Algorithm, setup.ID, setup.Ends)
	}
	if s.devices(t) != "" || s.logsIn(s.code(t, setup, 0)) {
		t.Error("the device counts before its first code")
	}
	if again, err := s.Resume(t.Context(), setup.BrowserSession, home); err != nil || again != setup {
		t.Errorf("resumed as something else: %v", err)
	}
	first := s.code(t, setup, 0)
	enrolled := s.confirm(t, s.answer(t, setup))
	if enrolled.User != "alice" || enrolled.Factor.ID != "phone" || len(enrolled.RecoveryCodes) != 10 || enrolled.Replaced {
		t.Errorf("%+v", enrolled)
	}
	if page := s.looks(t, created.Link, Used); !page.At.Equal(s.Clock) {
		t.Errorf("used %v", page.At)
	}
	s.refused(t, s.answer(t, setup), ErrUsed)
	if _, err := s.Begin(t.Context(), created.Link, home); !errors.Is(err, ErrUsed) {
		t.Errorf("opened again: %v", err)
	}
	if _, err := s.Resume(t.Context(), setup.BrowserSession, home); !errors.Is(err, ErrUsed) {
		t.Errorf("shown again: %v", err)
	}
	if s.logsIn(first) || !s.logsIn(s.code(t, setup, 1)) {
		t.Error("the first code logs in, or the next one does not")
	}
	if !s.logsIn(enrolled.RecoveryCodes[0]) {
		t.Error("a recovery code does not log in")
	}
	s.logged(t, "user=alice verdict=invited rule=totp:phone by=link reason=", "user=alice remote=192.0.2.1 verdict=opened rule=totp:phone by=link",
		"user=alice remote=192.0.2.1 verdict=enrolled rule=totp:phone by=link")
	kept := s.Lines() + everything(t, s.state)
	for _, secret := range []string{created.Link, setup.BrowserSession, strings.Split(setup.BrowserSession, ".")[1], strings.ReplaceAll(setup.Key, " ", ""), enrolled.RecoveryCodes[1]} {
		if strings.Contains(kept, secret) {
			t.Error("the log or the ledger has a link or a key")
		}
	}
	if strings.Contains(setup.BrowserSession, created.Link) {
		t.Error("a browser keeps the link")
	}
}

// Whatever ends a link does so at every step, also between the button and the code.
func TestLinksEnd(t *testing.T) {
	tests := map[string]struct {
		end   func(t *testing.T, s *site)
		state State
		want  error
	}{
		"expired":   {func(_ *testing.T, s *site) { s.Clock = s.Clock.Add(3 * day) }, Expired, ErrExpired},
		"cancelled": {func(t *testing.T, s *site) { s.cancelled(t, 1) }, Cancelled, ErrCancelled},
		"newer":     {func(t *testing.T, s *site) { s.invite(t, true) }, Cancelled, ErrCancelled},
		"disabled":  {func(t *testing.T, s *site) { s.change(t, func(p *account.Person) { p.Enabled = false }) }, Disabled, ErrDisabled},
		"removed": {func(t *testing.T, s *site) {
			if err := os.Remove(s.place().Path + "/alice.toml"); err != nil {
				t.Fatal(err)
			}
		}, Removed, ErrRemoved},
		"overtaken": {func(t *testing.T, s *site) {
			s.change(t, func(p *account.Person) {
				f := enrollment.NewFactor("tablet", s.People.Config.TOTP)
				f.Confirmed = s.Clock
				p.Factors = append(p.Factors, f)
			})
		}, Overtaken, ErrOvertaken},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			link := s.invite(t, true).Link
			setup := s.begin(t, link)
			answer := s.answer(t, setup)
			test.end(t, s)
			before := everything(t, s.place().Path)
			if name == "expired" {
				answer.First = s.code(t, setup, 0)
			}
			s.looks(t, link, test.state)
			s.refused(t, answer, test.want)
			if _, err := s.Begin(t.Context(), link, home); !errors.Is(err, test.want) {
				t.Errorf("opened: %v", err)
			}
			if _, err := s.Resume(t.Context(), setup.BrowserSession, home); !errors.Is(err, test.want) {
				t.Errorf("shown: %v", err)
			}
			if after := everything(t, s.place().Path); after != before {
				t.Error("the secret file changed")
			}
			if entry, err := s.People.Ledger.View(t.Context(), ledger.Key{Kind: ledger.Source, Name: home}); err != nil || entry.Attempts.Wrong != 0 {
				t.Errorf("%d wrong codes counted against whoever has a link, %v", entry.Attempts.Wrong, err)
			}
		})
	}
}

func (s *site) cancelled(t *testing.T, want int) {
	t.Helper()
	if n, err := s.Cancel(t.Context(), "alice"); err != nil || n.Invitations != want {
		t.Errorf("cancelled %d, %v, expected %d", n, err, want)
	}
}

func TestSessionsEnd(t *testing.T) {
	s := newSite(t)
	created := s.invite(t, false)
	setup := s.begin(t, created.Link)
	s.Clock = setup.Ends
	s.refused(t, s.answer(t, setup), ErrSessionEnded)
	if _, err := s.Resume(t.Context(), setup.BrowserSession, home); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("shown: %v", err)
	}
	// The page was closed, and is opened once more, shortly before the end.
	s.Clock = created.Ends.Add(-time.Minute)
	again := s.begin(t, created.Link)
	if !again.Ends.Equal(created.Ends) {
		t.Errorf("until %v, expected %v", again.Ends, created.Ends)
	}
	s.confirm(t, s.answer(t, again))
}

func TestTwoBrowsers(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false).Link
	first := s.begin(t, link)
	second := s.begin(t, link)
	if first.Key == second.Key || first.BrowserSession == second.BrowserSession {
		t.Error("two browsers get the same key")
	}
	s.refused(t, s.answer(t, first), ErrOpenedAgain)
	if _, err := s.Resume(t.Context(), first.BrowserSession, home); !errors.Is(err, ErrOpenedAgain) {
		t.Errorf("shown: %v", err)
	}
	s.differ(t, first, second)
	mixed := s.answer(t, first)
	mixed.BrowserSession = second.BrowserSession
	if _, err := s.Confirm(t.Context(), mixed); err == nil {
		t.Error("the first browser's key counts in the second")
	}
	s.confirm(t, s.answer(t, second))
	s.refused(t, s.answer(t, first), ErrUsed)
	if person, err := s.load("alice"); err != nil || len(person.Factors) != 1 {
		t.Errorf("%d factors, %v", len(person.Factors), err)
	}
}

func TestFiftyAtOnce(t *testing.T) {
	s := newSiteInMemory(t)
	setup := s.begin(t, s.invite(t, true).Link)
	answer := s.answer(t, setup)
	var in atomic.Int32
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			_, err := s.Confirm(t.Context(), answer)
			if err == nil {
				in.Add(1)
			} else if !errors.Is(err, ErrUsed) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if in.Load() != 1 || s.devices(t) != "phone" {
		t.Errorf("%d got in, with %s, expected one", in.Load(), s.devices(t))
	}
}

// Fifty press the button and type at once: no two of them get in.
func TestFiftyBrowsers(t *testing.T) {
	s := newSiteInMemory(t)
	link := s.invite(t, true).Link
	var in atomic.Int32
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			setup, err := s.Begin(t.Context(), link, home)
			if err == nil {
				_, err = s.Confirm(t.Context(), s.answer(t, setup))
			}
			if err == nil {
				in.Add(1)
			} else if !errors.Is(err, ErrUsed) && !errors.Is(err, ErrOpenedAgain) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if in.Load() > 1 || (in.Load() == 1) != (s.devices(t) == "phone") {
		t.Errorf("%d got in, with %q", in.Load(), s.devices(t))
	}
}

// Two servers share a ledger and have secret files of their own.
func TestOpenedOnAnotherServer(t *testing.T) {
	s := newSite(t)
	there := s.other(t)
	there.change(t, func(*account.Person) {})
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	var elsewhere Setup
	s.People.Ledger = &hooked{Store: s.People.Ledger, kind: ledger.Link, hook: func() error {
		elsewhere = there.begin(t, link) // when the first code is used up
		return nil
	}}
	s.refused(t, s.answer(t, setup), ErrOpenedAgain)
	if s.devices(t) != "" {
		t.Error("enrolled on both")
	}
	there.confirm(t, there.answer(t, elsewhere))
	s.refused(t, s.answer(t, setup), ErrUsed)
}

func TestWrongFirstCodes(t *testing.T) {
	s := newSite(t)
	setup := s.begin(t, s.invite(t, false).Link)
	answer := s.answer(t, setup)
	for _, malformed := range []string{"", "12345", " 123456", "1234567", "abcdef"} {
		answer.First = malformed
		for range wrongCodes {
			_, err := s.Confirm(t.Context(), answer)
			if wrong, ok := errors.AsType[enrollment.WrongCodeError](err); !ok || !wrong.Malformed {
				t.Errorf("%q: %v", malformed, err)
			}
		}
	}
	answer.First = s.wrong(t, setup)
	for range wrongCodes - 1 {
		_, err := s.Confirm(t.Context(), answer)
		if wrong, ok := errors.AsType[enrollment.WrongCodeError](err); !ok || wrong.Malformed {
			t.Errorf("got %v", err)
		}
	}
	_, err := s.Confirm(t.Context(), answer)
	fresh, ok := errors.AsType[NewKeyError](err)
	if !ok || fresh.Setup.BrowserSession != setup.BrowserSession || fresh.Setup.Key == setup.Key || !fresh.Setup.Ends.Equal(setup.Ends) {
		t.Fatalf("got %v", err)
	}
	if again, err := s.Resume(t.Context(), setup.BrowserSession, home); err != nil || again != fresh.Setup {
		t.Errorf("the old key is shown: %v", err)
	}
	s.differ(t, setup, fresh.Setup)
	if _, err := s.Confirm(t.Context(), s.answer(t, setup)); err == nil {
		t.Error("the old key counts")
	}
	s.confirm(t, s.answer(t, fresh.Setup))
	if person, err := s.load("alice"); err != nil || len(person.Factors) != 1 {
		t.Errorf("%d factors, %v", len(person.Factors), err)
	}
	if s.logsIn(s.code(t, setup, 1)) || !s.logsIn(s.code(t, fresh.Setup, 1)) {
		t.Error("the old key logs in, or the new one does not")
	}
}

// The link of somebody who guesses links is worth nothing to anybody from there, for a
// while. Looking at a link counts for nothing, as whole companies come from one address.
func TestWrongLinks(t *testing.T) {
	s := newSite(t)
	created := s.invite(t, false)
	setup := s.begin(t, created.Link)
	for n, link := range []string{"", "x", strings.ToUpper(created.Link), created.Link + "=", created.Link + "a", strings.Repeat("a", 32), "../" + created.Link} {
		s.looks(t, link, Unknown)
		if _, err := s.Begin(t.Context(), link, "198.51.100.9"); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", link, err)
		}
		entry, err := s.People.Ledger.View(t.Context(), ledger.Key{Kind: ledger.Source, Name: "198.51.100.9"})
		if err != nil || entry.Attempts.Wrong != n+1 {
			t.Errorf("%d wrong, expected %d, %v", entry.Attempts.Wrong, n+1, err)
		}
	}
	answer := s.answer(t, setup)
	limit := s.People.Config.Policy.Attempts.PerSource
	for n := range limit {
		answer.BrowserSession = strings.Repeat("0", 64) + "." + strings.Repeat("a", 32)
		answer.Remote = "198.51.100.8"
		if _, err := s.Confirm(t.Context(), answer); !errors.Is(err, ErrUnknown) {
			t.Fatalf("%d: %v", n, err)
		}
	}
	answer.BrowserSession = setup.BrowserSession
	for _, do := range []func() error{
		func() error { _, err := s.Confirm(t.Context(), answer); return err },
		func() error { _, err := s.Begin(t.Context(), created.Link, "198.51.100.8"); return err },
		func() error { _, err := s.Resume(t.Context(), setup.BrowserSession, "198.51.100.8"); return err },
	} {
		if _, ok := errors.AsType[LockedError](do()); !ok {
			t.Errorf("got %v", do())
		}
	}
	if lines := strings.Count(s.Lines(), "remote=198.51.100.8 verdict=denied rule=link by=link"); lines != limit {
		t.Errorf("%d lines, expected %d", lines, limit)
	}
	answer.Remote = home
	s.confirm(t, answer)
}

func TestWhoIsInvited(t *testing.T) {
	s := newSite(t)
	for _, want := range []Wanted{
		{User: "", Factor: "phone", For: day}, {User: "../alice", Factor: "phone", For: day}, {User: "alice", Factor: "", For: day},
		{User: "alice", Factor: "a b", For: day}, {User: "alice", Factor: "phone", For: Shortest - 1}, {User: "alice", Factor: "phone", For: Longest + 1},
	} {
		if _, err := s.Create(t.Context(), want); err == nil {
			t.Errorf("%+v is taken", want)
		}
	}
	s.enroll(t)
	_, err := s.Create(t.Context(), Wanted{User: "alice", Factor: "fone", Replace: true, For: day})
	if nothing, ok := errors.AsType[admin.NothingToReplaceError](err); !ok || nothing.ID != "fone" {
		t.Errorf("got %v", err)
	}
	s.change(t, func(p *account.Person) { p.Enabled = false })
	if _, err := s.Create(t.Context(), Wanted{User: "alice", Factor: "phone", For: day}); !errors.Is(err, ErrDisabled) {
		t.Errorf("got %v", err)
	}
	s.change(t, func(p *account.Person) { p.Enabled = true })
	s.Random = io.LimitReader(s.Random, secretBytes-1)
	if created, err := s.Create(t.Context(), Wanted{User: "alice", Factor: "phone", For: day}); err == nil || !reflect.DeepEqual(created, Created{}) {
		t.Errorf("a link of too few bits: %v", err)
	}
}
