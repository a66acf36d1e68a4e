package invitations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

const (
	// mostReminders is how many mails one run sends. The rest goes with the next one.
	mostReminders = 500
	// mostFailures is how many mails in a row may fail before a run takes the mail server
	// for away. Whoever they were for is not due at the next runs, and holds up nobody then.
	mostFailures = 10
)

func remind(a *invocation.App) *cobra.Command {
	var dry, asJSON bool
	c := &cobra.Command{
		Use:   "remind",
		Short: "Mail a new link to those who have not used theirs",
		Long: `remind mails a new link to whoever was mailed one, has not enrolled by it, and was
mailed nothing for as long as portal.remind says. The new link ends when the one
before would have, and takes its place once it has gone out. Nobody is reminded of a
link that was printed, nor while somebody is at the link's page, nor in its last hour.

It may be run as often as you like, and be broken off: otpgate-remind.timer runs it
every hour once it is enabled. One run sends ` + fmt.Sprint(mostReminders) + ` mails at most and leaves the rest to the
next. A failure does not stop the rest; ` + fmt.Sprint(mostFailures) + ` in a row end the run. Whose
mail failed is due again after six hours.`,
		Example: `  otpctl invite remind --dry-run     # who would be
  otpctl invite remind
  systemctl enable --now otpgate-remind.timer`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "say who would be reminded, and send nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, an object for each person")
	return a.Does(c, func(ctx context.Context, _ []string) error {
		g, err := a.Gate()
		if err != nil {
			return err
		}
		if err := ready(a, g.Config, flags{}); err != nil {
			return err
		}
		r := reminder{App: a, g: g, dry: dry, json: asJSON, outcomes: []reminded{}}
		return r.all(ctx)
	})
}

// reminder reminds one person after the other.
type reminder struct {
	*invocation.App
	g         admin.People
	dry, json bool
	outcomes  []reminded
	// mails went out, failed could not, inARow of them since the last one that did.
	mails, failed, inARow int
}

// reminded is what became of somebody for whom a reminder was due.
type reminded struct {
	User   string    `json:"user"`
	Result string    `json:"result"` // reminded, due or failed
	Error  string    `json:"error,omitempty"`
	SentTo string    `json:"sent_to,omitempty"`
	Ends   time.Time `json:"ends"`
}

func (r *reminder) all(ctx context.Context) error {
	every := r.g.Config.Portal.Remind.Duration
	if every == 0 {
		r.Note("portal.remind is 0s")
		return r.show("")
	}
	names, err := invocation.PeopleWithFiles(r.g)
	if err != nil {
		return err
	}
	bar := r.Begin("people looked at", len(names))
	rest := ""
	for _, name := range names {
		if rest = r.enough(); rest != "" || ctx.Err() != nil {
			break
		}
		r.one(ctx, name, every)
		bar.Step()
	}
	r.Clear()
	return errors.Join(r.show(rest), ctx.Err())
}

// enough says why nobody else is reminded in this run.
func (r *reminder) enough() string {
	switch {
	case r.mails == mostReminders:
		return fmt.Sprintf("%d mails are enough for one run; the others are left to the next", mostReminders)
	case r.inARow == mostFailures:
		return fmt.Sprintf("%d mails in a row could not be sent; the others are left to the next run", mostFailures)
	}
	return ""
}

// one reminds somebody, if that is due.
func (r *reminder) one(ctx context.Context, name string, every time.Duration) {
	sent, err := of(r.g).Remind(ctx, name, every, r.dry)
	if errors.Is(err, account.ErrNotFound) || !sent.Due && err == nil {
		return // removed meanwhile, or not due
	}
	one := reminded{User: name, SentTo: sent.To, Ends: sent.Ends}
	switch {
	case err != nil:
		one.Result, one.Error = "failed", err.Error()
		r.failed++
		if sent.Due && !errors.Is(err, invitation.ErrNoAddress) {
			r.inARow++
		}
		r.Complain(fmt.Errorf("user %q: %w", name, err))
	case r.dry:
		one.Result = "due"
		r.say("%s: would be mailed a link that is good until %s", name, invocation.When(sent.Ends))
	default:
		one.Result = "reminded"
		r.mails++
		r.inARow = 0
		invocation.Changed(r.g, "invite remind", audit.Record{User: name, Reason: "a link mailed to " + sent.To})
		r.say("%s: reminded, by a mail to %s; the link is good until %s", name, sent.To, invocation.When(sent.Ends))
	}
	r.outcomes = append(r.outcomes, one)
}

func (r *reminder) say(format string, values ...any) {
	if !r.json {
		r.App.Say(format, values...)
	}
}

// show ends the report. rest says why not all were looked at.
func (r *reminder) show(rest string) error {
	if r.json {
		if err := r.JSON(r.outcomes); err != nil {
			return err
		}
	}
	switch {
	case rest != "":
		r.Note("%s", rest)
	case len(r.outcomes) == 0:
		r.Sum("nobody is to be reminded")
	}
	if r.failed > 0 {
		return fmt.Errorf("%s could not be reminded", invocation.Counted(r.failed, "person", "people"))
	}
	return nil
}
