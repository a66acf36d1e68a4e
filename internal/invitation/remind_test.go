package invitation

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// mailed invites alice as an admin does, by mail.
func (s *site) mailed(t *testing.T, p *post, want Wanted) {
	t.Helper()
	want.User, want.Mailed = "alice", true
	if want.Factor == "" {
		want.Factor = "phone"
	}
	if want.For == 0 {
		want.For = 3 * day
	}
	created, err := s.Create(t.Context(), want)
	if err == nil {
		_, err = s.Mail(t.Context(), "alice", "alice@example.com", created)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) reminds(t *testing.T, due bool) Reminder {
	t.Helper()
	r, err := s.Remind(t.Context(), "alice", day, false)
	if err != nil || r.Due != due {
		t.Fatalf("%+v, %v, want due %v", r, err, due)
	}
	return r
}

// Whoever has not enrolled is mailed another link in the place of the last one, once a
// day, until that would have ended.
func TestRemind(t *testing.T) {
	s, p := inviting(t)
	s.mailed(t, p, Wanted{})
	ends := s.Clock.Add(3 * day)
	for n := range 2 {
		before := p.link(t)
		for range 23 {
			s.Clock = s.Clock.Add(time.Hour)
			s.reminds(t, false)
		}
		s.Clock = s.Clock.Add(time.Hour)
		if r, err := s.Remind(t.Context(), "alice", day, true); err != nil || !r.Due || r.To != "" || len(p.Messages) != n+1 {
			t.Fatalf("only looked: %+v, %v", r, err)
		}
		if r := s.reminds(t, true); r.To != "somewhere" || !r.Ends.Equal(ends) {
			t.Errorf("%+v", r)
		}
		s.looks(t, before, Cancelled)
		if page := s.looks(t, p.link(t), Ready); !page.At.Equal(ends) || !p.Messages[n+1].Expires.Equal(ends) {
			t.Errorf("good until %v, told %v", page.At, p.Messages[n+1].Expires)
		}
		s.reminds(t, false)
	}
	s.Clock = ends.Add(-59 * time.Minute)
	s.reminds(t, false)
	setup := s.begin(t, p.link(t))
	s.confirm(t, s.answer(t, setup))
	if kept := s.Lines() + everything(t, s.state); strings.Contains(kept, p.link(t)) {
		t.Error("the log or the ledger has the link")
	}
}

func TestNobodyElseIsReminded(t *testing.T) {
	for what, do := range map[string]func(t *testing.T, s *site, p *post){
		"it was handed over": func(t *testing.T, s *site, _ *post) { s.invite(t, false) },
		"it was cancelled":   func(t *testing.T, s *site, _ *post) { _, _ = s.Cancel(t.Context(), "alice") },
		"it has ended":       func(_ *testing.T, s *site, _ *post) { s.Clock = s.Clock.Add(3 * day) },
		"it was used":        func(t *testing.T, s *site, p *post) { s.confirm(t, s.answer(t, s.begin(t, p.link(t)))) },
		"somebody is disabled": func(t *testing.T, s *site, _ *post) {
			s.change(t, func(person *account.Person) { person.Enabled = false })
		},
		"somebody is at the page": func(t *testing.T, s *site, p *post) {
			s.Clock = s.Clock.Add(day - time.Minute)
			s.begin(t, p.link(t))
			s.Clock = s.Clock.Add(time.Minute - day)
		},
	} {
		s, p := inviting(t)
		s.mailed(t, p, Wanted{})
		do(t, s, p)
		s.Clock = s.Clock.Add(day)
		if r, err := s.Remind(t.Context(), "alice", day, false); err != nil || r.Due || len(p.Messages) != 1 {
			t.Errorf("%s: %+v, %v, %d mails", what, r, err, len(p.Messages))
		}
	}
	s, p := inviting(t)
	s.mailed(t, p, Wanted{})
	s.change(t, func(person *account.Person) { person.Email = "" })
	s.Clock = s.Clock.Add(day)
	if _, err := s.Remind(t.Context(), "alice", day, false); !errors.Is(err, ErrNoAddress) {
		t.Errorf("no address: %v", err)
	}
}

// A link that lets a lost phone be replaced goes on doing that, and no longer than the
// admin meant.
func TestRemindOfAReplacement(t *testing.T) {
	s, p := inviting(t)
	lost, _ := s.enroll(t)
	s.mailed(t, p, Wanted{Replace: true})
	s.Clock = s.Clock.Add(day)
	s.reminds(t, true)
	setup := s.begin(t, p.link(t))
	if setup.Needs || setup.ID != "phone" {
		t.Errorf("a code of the lost phone is needed: %v", setup)
	}
	s.differ(t, lost, setup)
	s.confirm(t, s.answer(t, setup))

	s, p = inviting(t)
	s.enroll(t)
	s.mailed(t, p, Wanted{Replace: true})
	s.change(t, func(person *account.Person) { person.Factors[0].ID = "other" })
	s.Clock = s.Clock.Add(day)
	s.reminds(t, false)
}

// Somebody who opens the old link while the new one is on its way goes on with it, and
// is not reminded again.
func TestSessionDuringReminder(t *testing.T) {
	s, p := inviting(t)
	s.mailed(t, p, Wanted{})
	s.Clock = s.Clock.Add(day)
	old := p.link(t)
	var setup Setup
	p.do = func(context.Context) { setup = s.begin(t, old) }
	s.reminds(t, true)
	p.do = nil
	s.confirm(t, s.answer(t, setup))
	s.Clock = s.Clock.Add(day)
	s.reminds(t, false)
	s.looks(t, p.link(t), Cancelled)
	if len(p.Messages) != 2 {
		t.Errorf("%d mails", len(p.Messages))
	}
}

// A mail that cannot be sent costs nobody the link that there is, and counts as none: the
// next one is tried before another reminder would be due.
func TestReminderThatIsNotMailed(t *testing.T) {
	s, p := inviting(t)
	s.mailed(t, p, Wanted{})
	link := p.link(t)
	s.Clock, p.Fails = s.Clock.Add(day), errors.New("no such mailbox")
	if r, err := s.Remind(t.Context(), "alice", day, false); !errors.Is(err, p.Fails) || !r.Due {
		t.Errorf("%+v, %v", r, err)
	}
	s.looks(t, link, Ready)
	for range 5 {
		s.reminds(t, false)
		s.Clock = s.Clock.Add(time.Hour)
	}
	s.Clock, p.Fails = s.Clock.Add(time.Hour), nil
	s.reminds(t, true)
	s.looks(t, link, Cancelled)
	s.looks(t, p.link(t), Ready)
	s.Clock = s.Clock.Add(23 * time.Hour)
	s.reminds(t, false)
	s.Clock = s.Clock.Add(time.Hour)
	s.reminds(t, true)
}

func TestManyRemindAtOnce(t *testing.T) {
	s, p := inviting(t)
	s.mailed(t, p, Wanted{})
	s.Clock = s.Clock.Add(day)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := s.Remind(context.Background(), "alice", day, false); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(p.Messages) != 2 {
		t.Errorf("%d mails", len(p.Messages))
	}
	s.looks(t, p.link(t), Ready)
}

// dying is a ledger whose process ends before a change, or after one.
type dying struct {
	ledger.Store
	left int
}

type death struct{}

func (d *dying) step() {
	if d.left--; d.left == 0 {
		panic(death{})
	}
}

func (d *dying) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	d.step()
	err := d.Store.Update(ctx, key, change)
	d.step()
	return err
}

// remindUntil reminds alice, until the process ends at step n.
func (s *site) remindUntil(t *testing.T, p *post, n int) (died bool) {
	store := &dying{s.People.Ledger, n}
	s.People.Ledger, p.do = store, func(context.Context) { store.step() }
	defer func() {
		s.People.Ledger, p.do = store.Store, nil
		switch recover().(type) {
		case nil:
		case death:
			died = true
		default:
			t.Error("something else went wrong")
		}
	}()
	s.reminds(t, true)
	return false
}

// Wherever it is broken off, nobody is mailed twice a day, a link that was mailed is
// good, and the next day there is another one, which is then the only one.
func TestRemindBrokenOff(t *testing.T) {
	for n := 1; ; n++ {
		s, p := inviting(t)
		s.mailed(t, p, Wanted{})
		s.Clock = s.Clock.Add(day)
		died := s.remindUntil(t, p, n)
		for range 23 {
			if n > 2 { // it was noted
				s.reminds(t, false)
			}
			s.Clock = s.Clock.Add(time.Hour)
		}
		good := 0
		for _, m := range p.Messages {
			page, err := s.Look(t.Context(), strings.TrimPrefix(m.Link, "https://otp.example.com/l/"))
			if err != nil {
				t.Fatal(err)
			}
			if page.State == Ready {
				good++
			}
		}
		if len(p.Messages) > 2 || good == 0 {
			t.Errorf("broken off at %d: %d mails, %d of their links are good", n, len(p.Messages), good)
		}
		before := len(p.Messages)
		s.Clock = s.Clock.Add(time.Hour)
		s.reminds(t, true)
		s.looks(t, p.link(t), Ready)
		if len(p.Messages) != before+1 || s.ready(t) != 1 {
			t.Errorf("broken off at %d: %d mails the next day, %d links are good", n, len(p.Messages)-before, s.ready(t))
		}
		if !died {
			if n < 9 {
				t.Errorf("broken off at %d places", n-1)
			}
			return
		}
	}
}
