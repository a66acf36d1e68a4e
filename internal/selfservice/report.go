package selfservice

import (
	"context"
	"fmt"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Report notes that a login was not the person's: the log has it, whoever looks after the
// machine is told if there is an address, and remembered logins end.
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
			return v.report(ctx, login.Login)
		}
	}
	return ErrNotFound
}

func (v *openSession) report(ctx context.Context, l ledger.Login) error {
	ended, err := v.endSessions(ctx, v.person.User, func(ledger.Session) bool { return true })
	what := "A login of " + v.person.User + " was reported as somebody else's: " + loginWords(l) + "."
	v.People.Audit.Write(audit.Record{
		User: v.person.User, Service: l.Service, Remote: v.remote, Verdict: "reported", Rule: l.Rule, By: by, Reason: loginWords(l),
	})
	v.mail(v.People.Config.Portal.ReportTo, what, true)
	v.mail(v.person.Email, what+" "+endedWords(ended), false)
	return err
}

// loginWords says which login it was, in one line.
func loginWords(l ledger.Login) string {
	verdict := "right code, " + l.Rule
	if l.Denied {
		verdict = "wrong code"
	}
	words := l.At.UTC().Format(time.RFC3339) + ", " + verdict
	for _, part := range []struct{ before, text string }{{"service", l.Service}, {"from", l.Address}, {"on", l.Host}, {"for programs of", l.Peer}} {
		if part.text != "" {
			words += fmt.Sprintf(", %s %s", part.before, part.text)
		}
	}
	return words
}
