package selfservice

import (
	"context"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/ledger"
)

// held has links mailed when the test says so.
type held struct {
	atOnce
	jobs *[]Job
}

func (h held) Link(job Job) { *h.jobs = append(*h.jobs, job) }

// command is one of an admin's against somebody.
type command struct {
	does, undoes func(t *testing.T, s *site)
	mayAsk       bool // whoever is left may ask for another link
}

var commands = map[string]command{
	"disable": {
		does: func(t *testing.T, s *site) { s.enable(t, false) }, undoes: func(t *testing.T, s *site) { s.enable(t, true) },
	},
	"remove": {
		does: func(t *testing.T, s *site) {
			if err := s.People.Remove(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
		},
		undoes: func(t *testing.T, s *site) { s.edit(t, func(person *account.Person) { *person = s.was }) },
	},
	"rename": {
		does: func(t *testing.T, s *site) {
			if _, err := s.People.Rename(t.Context(), "alice", "bob"); err != nil {
				t.Error(err)
			}
		},
		undoes: func(t *testing.T, s *site) {
			if _, err := s.People.Rename(t.Context(), "bob", "alice"); err != nil {
				t.Error(err)
			}
		},
	},
	"invite cancel": {
		does: func(t *testing.T, s *site) {
			if was, err := s.links().Cancel(t.Context(), "alice"); err != nil || was.Pages == 0 {
				t.Errorf("%+v, %v", was, err)
			}
		},
		undoes: func(*testing.T, *site) {}, mayAsk: true,
	},
	"remove --id": {
		does: func(t *testing.T, s *site) {
			if _, err := s.People.RemoveFactor("alice", "tablet"); err != nil {
				t.Error(err)
			}
		},
		undoes: func(*testing.T, *site) {}, mayAsk: true,
	},
	"recovery": {
		does: func(t *testing.T, s *site) {
			if _, err := s.People.NewRecovery("alice"); err != nil {
				t.Error(err)
			}
		},
		undoes: func(*testing.T, *site) {}, mayAsk: true,
	},
}

// Each of an admin's commands against somebody ends links and pages, whether they were
// there before it, were asked for before it and mailed after it, or came about in its
// middle; also where what was before comes back.
func TestCommandsEndLinksAndPages(t *testing.T) {
	for name, command := range commands {
		for when := range 5 {
			s := newSite(t)
			s.edit(t, func(person *account.Person) {
				tablet := enrollment.NewFactor("tablet", s.People.Config.TOTP)
				tablet.Confirmed = s.Clock
				person.Factors = append(person.Factors, tablet)
				if name == "disable" {
					person.Recovery = account.Recovery{} // nothing else of the person changes then
				}
			})
			s.was = s.alice(t)
			browser, link := s.enters(t), s.link(t)
			var jobs []Job
			s.Later = held{jobs: &jobs}
			s.Ask("alice", home, "")
			before := s.count()
			store := s.People.Ledger
			done := false
			s.People.Ledger = &between{Store: store, when: when, does: func() {
				s.People.Ledger = store
				command.does(t, s)
				done = true
			}}
			for _, job := range jobs {
				job.Do(context.Background())
			}
			s.People.Ledger = store
			if !done {
				command.does(t, s)
			}
			command.undoes(t, s)
			if _, err := s.Show(t.Context(), browser); err == nil {
				t.Errorf("%s: a page that was open goes on", name)
			}
			if _, err := s.Enter(t.Context(), link, s.code(t, "phone"), home); err == nil {
				t.Errorf("%s: a link that was mailed before is good", name)
			}
			if s.count() == before {
				continue // the link in the middle was not mailed
			}
			late := strings.TrimPrefix(s.last(t).Link, "https://otp.example.com/m/")
			if _, err := s.Enter(t.Context(), late, s.code(t, "phone"), home); err == nil && !command.mayAsk {
				t.Errorf("%s after %d changes: a link that was made meanwhile is good", name, when)
			}
		}
	}
}

// between is a ledger in which something is done before a change.
type between struct {
	ledger.Store
	when int
	does func()
}

func (b *between) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if b.when--; b.when == 0 {
		b.does()
	}
	return b.Store.Update(ctx, key, change)
}

func (s *site) enable(t *testing.T, enabled bool) {
	t.Helper()
	if _, _, err := s.People.Enable(t.Context(), "alice", enabled); err != nil {
		t.Error(err)
	}
}
