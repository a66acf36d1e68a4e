package portal

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/invitation"
)

// becomes is what may become of a link while somebody is at it.
var becomes = map[string]struct {
	status int
	does   func(*testing.T, *site)
}{
	"expired":   {http.StatusGone, func(_ *testing.T, s *site) { s.Clock = s.Clock.Add(73 * time.Hour) }},
	"cancelled": {http.StatusGone, func(t *testing.T, s *site) { s.cancel(t) }},
	"disabled":  {http.StatusForbidden, func(t *testing.T, s *site) { s.change(t, func(p *account.Person) { p.Enabled = false }) }},
	"removed":   {http.StatusGone, func(t *testing.T, s *site) { s.remove(t) }},
	"overtaken": {http.StatusGone, func(t *testing.T, s *site) {
		s.change(t, func(p *account.Person) { p.Factors[0].Confirmed = s.Clock.Add(time.Second) })
	}},
}

func (s *site) cancel(t *testing.T) {
	t.Helper()
	if cancelled, err := s.invitations().Cancel(t.Context(), "alice"); err != nil || cancelled.Invitations != 1 {
		t.Fatalf("%+v cancelled, %v", cancelled, err)
	}
}

func (s *site) remove(t *testing.T) {
	t.Helper()
	dir, err := account.PlaceOf(s.engine.Config).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.Remove("alice"); err != nil {
		t.Fatal(err)
	}
}

// Whatever becomes of a link has its page, and so at each step: for who opens it, presses
// its button, looks at the key again, and types a code. No key is shown from then on.
func TestWhatBecameOfALink(t *testing.T) {
	for name, test := range becomes {
		for step, what := range []string{"before it is opened", "before its button is pressed", "before the key is shown again", "before the code is typed"} {
			s := newSite(t)
			_, _ = s.enroll(t)
			link := s.invite(t, true)
			b := s.browser(t)
			if step >= 1 {
				s.says(t, b.get(t, link), http.StatusOK, "ready")
			}
			code := "123456"
			if step >= 2 {
				setup := b.press(t, link)
				s.says(t, setup, http.StatusOK, "setup")
				code = s.code(t, setup, 0)
			}
			if step >= 3 {
				s.says(t, b.get(t, "/setup"), http.StatusOK, "setup")
			}
			test.does(t, s)
			seen := []answered{b.get(t, link), b.press(t, link)}
			if step >= 2 {
				seen = append(seen, b.get(t, "/setup"), b.try(t, code, ""))
			}
			for _, page := range seen {
				s.says(t, page, test.status, name)
				if tapped.MatchString(page.text) || inCode.MatchString(page.text) {
					t.Errorf("%s %s: a key or code is shown", name, what)
				}
			}
			if t.Failed() {
				t.Fatalf("%s %s", name, what)
			}
		}
	}
}

// Whoever is enabled again goes on where it ended.
func TestEnabledAgain(t *testing.T) {
	s := newSite(t)
	b := s.browser(t)
	setup := b.press(t, s.invite(t, false))
	s.change(t, func(p *account.Person) { p.Enabled = false })
	s.says(t, b.try(t, s.code(t, setup, 0), ""), http.StatusForbidden, "disabled")
	s.change(t, func(p *account.Person) { p.Enabled = true })
	s.says(t, b.try(t, s.code(t, setup, 0), ""), http.StatusOK, "done")
}

// A page that was closed in the middle is opened again, in the same browser or in
// another one, also after its quarter of an hour.
func TestClosedInTheMiddle(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false)
	b := s.browser(t)
	before := b.press(t, link)
	s.says(t, b.get(t, link), http.StatusOK, "ready")
	s.Clock = s.Clock.Add(15 * time.Minute)
	s.says(t, b.get(t, "/setup"), http.StatusGone, "visit-ended")
	s.says(t, b.try(t, s.code(t, before, 0), ""), http.StatusGone, "visit-ended")
	s.says(t, b.get(t, link), http.StatusOK, "ready")
	after := b.press(t, link)
	if tapped.FindString(before.text) == tapped.FindString(after.text) {
		t.Error("the key that was shown before is good again")
	}
	s.says(t, b.try(t, s.code(t, after, 0), ""), http.StatusOK, "done")
}

// Of many browsers that press at once one goes on, and the others are told. However
// many type a code at once, one enrolls, once.
func TestBrowsersAtOnce(t *testing.T) {
	const browsers = 8
	for range 5 {
		s := newSite(t)
		link := s.invite(t, false)
		all := make([]*browser, browsers)
		for i := range all {
			all[i] = s.browser(t)
		}
		pressed := atOnce(all, func(b *browser) answered { return b.press(t, link) })
		var last *browser
		var setup answered
		for i, b := range all {
			switch page := b.get(t, "/setup"); page.StatusCode {
			case http.StatusOK:
				if last != nil {
					t.Error("two browsers have a key that is good")
				}
				last, setup = b, page
				if tapped.FindString(pressed[i].text) != tapped.FindString(page.text) {
					t.Error("the one that goes on was shown another key")
				}
			default:
				s.says(t, page, http.StatusGone, "opened-again")
			}
		}
		if last == nil {
			t.Fatal("no browser goes on")
		}
		done := 0
		for _, page := range atOnce(all, func(b *browser) answered { return b.try(t, s.code(t, setup, 0), "") }) {
			if page.StatusCode == http.StatusOK {
				done++
			}
		}
		person, err := s.engine.Accounts.Load("alice")
		if err != nil || done != 1 || len(person.Factors) != 1 || len(person.Confirmed()) != 1 {
			t.Errorf("%d browsers enrolled; %d devices, of which %d count; %v", done, len(person.Factors), len(person.Confirmed()), err)
		}
		links, err := s.invitations().ListOf(t.Context(), "alice")
		if err != nil || len(links) != 1 || links[0].State != invitation.Used.String() {
			t.Errorf("%+v, %v", links, err)
		}
	}
}

// atOnce has all browsers do something at the same time.
func atOnce(all []*browser, do func(*browser) answered) []answered {
	begin := make(chan struct{})
	got := make([]answered, len(all))
	var group sync.WaitGroup
	for i, b := range all {
		group.Go(func() {
			<-begin
			got[i] = do(b)
		})
	}
	close(begin)
	group.Wait()
	return got
}
