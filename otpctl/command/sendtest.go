package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
)

func (a *app) sendTest() *cobra.Command {
	var to string
	channels := []string{string(deliver.Email), string(deliver.SMS)}
	c := &cobra.Command{
		Use:   "send-test email|sms USER",
		Short: "Send somebody a code that is good for nothing, to try the way there",
		Long: `send-test sends a message like that of a login, with a made-up code in it, to the
address in the person's secret file. The code logs nobody in. An SMS that fails
goes by email if there is an address, as at a login; the exit status is 1 then.

It sends by itself, and says if otpgate-send, which logins run for that, is not
where it is looked for (paths.sender) or must not be run.`,
		Example: `  otpctl send-test email alice
  otpctl send-test sms alice --to +491511234567`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(c *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return channels, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completeUser(c, args[1:], part)
		},
	}
	c.Flags().StringVar(&to, "to", "", "`address` or number to send to, instead of the person's")
	return a.does(c, func(ctx context.Context, args []string) error {
		channel := deliver.Channel(args[0])
		check := account.CheckEmail
		switch channel {
		case deliver.Email:
		case deliver.SMS:
			check = account.CheckPhone
		default:
			return usage("%q: expected email or sms", args[0])
		}
		if c.Flags().Changed("to") && check(to) != nil {
			return usage("--to %q: %w", to, check(to))
		}
		return a.runSendTest(ctx, channel, args[1], to)
	})
}

func (a *app) runSendTest(ctx context.Context, channel deliver.Channel, given, to string) error {
	g, err := a.gate()
	if err != nil {
		return err
	}
	name, err := a.enrolledName(g, given)
	if err != nil {
		return err
	}
	a.remarkOnCore(g.Config)
	begun := time.Now() // the real clock: this is about how long somebody waits
	sent, err := g.SendTest(ctx, channel, name, to)
	took := time.Since(begun)
	if errors.Is(err, account.ErrNotFound) || errors.Is(err, admin.ErrNoAddress) || err != nil && g.Sender == nil {
		return err
	}
	if err != nil {
		return notSent{channel, took, err}
	}
	g.Audit.Write(audit.Record{
		User: name, TTY: tty(), Verdict: "sent", Rule: "otpctl send-test",
		Reason: fmt.Sprintf("%s to %s, by %s", sent.Channel, sent.To, whoami()),
	})
	a.say("Sent by %s to %s, in %s.", sent.Channel, sent.To, seconds(took))
	a.say("The code in it is made up and good for nothing.")
	if person, err := g.Accounts.Load(name); err == nil && to == "" {
		a.remarkOnKind(g.Config, person, account.Kind(channel))
	}
	if sent.Failed != "" || sent.Channel != channel {
		return notSent{channel, 0, errors.New(sent.Failed)}
	}
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f seconds", d.Seconds()) }

// notSent says that a channel does not work.
type notSent struct {
	channel deliver.Channel
	took    time.Duration
	error
}

func (n notSent) Error() string {
	if n.took == 0 {
		return fmt.Sprintf("%s failed, so it went another way: %v", n.channel, n.error)
	}
	return fmt.Sprintf("not sent by %s, after %s: %v", n.channel, seconds(n.took), n.error)
}

func (n notSent) Unwrap() error { return n.error }

// unsentHint says what a channel that does not work may have wrong.
func (a *app) unsentHint(channel deliver.Channel) string {
	answers, whose := "", "address"
	if channel == deliver.SMS {
		answers, whose = "the answers that success takes, ", "number"
	}
	return fmt.Sprintf("look at [%s] in %s: where it sends to, who it says it is, %sand the certificates it trusts; and at the %s of the person",
		channel, a.configName(), answers, whose)
}

// configName is the file to look into.
func (a *app) configName() string {
	if a.config == "" {
		return config.DefaultPath
	}
	return a.config
}
