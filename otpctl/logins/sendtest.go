package logins

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// SendTest is otpctl send-test.
func SendTest(a *invocation.App) *cobra.Command {
	var to string
	var asJSON bool
	channels := []string{string(deliver.Email), string(deliver.SMS)}
	c := &cobra.Command{
		Use:   "send-test email|sms USER",
		Short: "Send somebody a test code, which logs nobody in",
		Long: `send-test sends a message as a login would, but with a made-up code, to the
address in the person's secret file. The code logs nobody in. An SMS that fails
goes by email if there is an address, as at a login; the exit status is then 1.

It sends the message itself. Logins run otpgate-send for that; send-test says if
that is missing (paths.sender) or must not be run.`,
		Example: `  otpctl send-test email alice
  otpctl send-test sms alice --to +491511234567`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(c *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return channels, cobra.ShellCompDirectiveNoFileComp
			}
			return a.CompleteUser(c, args[1:], part)
		},
	}
	c.Flags().StringVar(&to, "to", "", "`address` or number to send to, instead of the person's")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return a.Does(c, func(ctx context.Context, args []string) error {
		channel := deliver.Channel(args[0])
		check := account.CheckEmail
		switch channel {
		case deliver.Email:
		case deliver.SMS:
			check = account.CheckPhone
		default:
			return invocation.Usage("%q: expected email or sms", args[0])
		}
		if c.Flags().Changed("to") && check(to) != nil {
			return invocation.Usage("--to %q: %w", to, check(to))
		}
		return runSendTest(ctx, a, channel, args[1], to, asJSON)
	})
}

// sentTest is what was sent, by which way, and to whom as far as that is shown.
type sentTest struct {
	User    string          `json:"user"`
	Channel deliver.Channel `json:"channel"`
	To      string          `json:"to"`
	Seconds float64         `json:"seconds"`
	// Failed is why it went another way than was asked for.
	Failed string `json:"failed,omitempty"`
}

func runSendTest(ctx context.Context, a *invocation.App, channel deliver.Channel, given, to string, asJSON bool) error {
	g, name, err := a.Enrolled(given)
	if err != nil {
		return err
	}
	a.RemarkOnCore(g.Config)
	begun := time.Now() // the real clock: this is about how long somebody waits
	sent, err := g.SendTest(ctx, channel, name, to)
	took := time.Since(begun)
	if errors.Is(err, account.ErrNotFound) || errors.Is(err, admin.ErrNoAddress) || err != nil && g.Sender == nil {
		return err
	}
	if err != nil {
		return invocation.NotSent{Channel: channel, Took: took, Err: err}
	}
	g.Audit.Write(audit.Record{
		User: name, TTY: invocation.Tty(), Verdict: "sent", Rule: "otpctl send-test",
		Reason: fmt.Sprintf("%s to %s, by %s", sent.Channel, sent.To, invocation.Whoami()),
	})
	if asJSON {
		if err := a.JSON(sentTest{name, sent.Channel, sent.To, took.Seconds(), sent.Failed}); err != nil {
			return err
		}
	} else {
		a.Say("Sent by %s to %s, in %s.", sent.Channel, sent.To, invocation.Seconds(took))
		a.Say("The code in it is made up and good for nothing.")
	}
	if person, err := g.Accounts.Load(name); err == nil && to == "" {
		a.RemarkOnKind(g.Config, person, account.Kind(channel))
	}
	if sent.Failed != "" || sent.Channel != channel {
		return invocation.NotSent{Channel: channel, Err: errors.New(sent.Failed)}
	}
	return nil
}
