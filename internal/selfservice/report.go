package selfservice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/catalogue"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Report notes that a login was not the person's: the log has it, whoever looks after the
// machine is told if there is an address, and remembered logins end, as do the other pages
// that are open for the person and the links to them. Once more it ends what there is by
// then, and tells nobody the same again.
func (s Service) Report(ctx context.Context, browser BrowserSession, id string) error {
	v, err := s.open(ctx, browser)
	if err != nil {
		return err
	}
	entry, err := s.People.Ledger.View(ctx, ledger.UserKey(v.person.User))
	if err != nil {
		return err
	}
	for _, login := range loginsOf(entry) {
		if login.ID == id {
			return v.report(ctx, login)
		}
	}
	return ErrNotFound
}

func (v *openSession) report(ctx context.Context, l Login) error {
	first, err := v.claimReport(ctx, l.ID)
	if err != nil {
		return err
	}
	what := reportedAs(v.person.User, l.Login)
	if first {
		v.People.Audit.Write(audit.Record{
			User: v.person.User, Service: l.Service, Remote: v.remote, Verdict: "reported", Rule: l.Rule, By: by,
			Reason: loginWords(languageOf(catalogue.Usual), stamp, l.Login),
		})
		v.mail(deliver.Message{Email: v.People.Config.Portal.ReportTo, Change: english(what), Report: true})
	}
	ended, err := v.endSessions(ctx, v.person.User, func(ledger.Session) bool { return true })
	closed, closing := v.closeOthers(ctx)
	done := []sentence{counted("ended", ended)}
	if closed > 0 {
		done = append(done, counted("closed", closed))
	}
	switch {
	case first:
		v.tell(append([]sentence{what}, done...)...)
	case ended+closed > 0:
		v.changed(done...)
	}
	return errors.Join(err, closing)
}

// reported is the purpose of an entry that says that a login was reported. It is no link,
// and nobody can have one for it.
const reported = "reported"

// reportedFor is how long that is known.
const reportedFor = 30 * 24 * time.Hour

// claimReport notes that a login is reported, and says whether it was not before.
func (v *openSession) claimReport(ctx context.Context, id string) (first bool, err error) {
	key := ledger.Key{Kind: ledger.Link, Name: invitation.Hash(reported + "\x00" + v.person.User + "\x00" + id)}
	now := v.now()
	err = v.People.Ledger.Update(ctx, key, func(entry *ledger.Entry) error {
		if first = entry.Invitation == (ledger.Invitation{}); first {
			entry.Invitation = ledger.Invitation{User: v.person.User, Purpose: reported, Made: now, Ends: now.Add(reportedFor)}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("note the report: %w", err)
	}
	return first, nil
}

// closeOthers ends all browser sessions of the person but this one, and the links to further ones. It
// returns how many there were.
func (v *openSession) closeOthers(ctx context.Context) (closed int, err error) {
	index, err := v.People.Ledger.View(ctx, invitation.PersonKey(v.person.User))
	if err != nil {
		return 0, fmt.Errorf("end the other pages: %w", err)
	}
	for _, link := range index.Links {
		if link.Name == v.key.Name {
			continue
		}
		now, was := v.now(), false
		err := v.People.Ledger.Update(ctx, ledger.Key{Kind: ledger.Link, Name: link.Name}, func(entry *ledger.Entry) error {
			if was = IsOpen(entry.Invitation, now); was {
				entry.Invitation.Cancelled = now
			}
			return nil
		})
		if err != nil {
			return closed, fmt.Errorf("end the other pages: %w", err)
		}
		if was {
			closed++
		}
	}
	return closed, nil
}
