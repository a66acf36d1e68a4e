package people

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Confirm is otpctl confirm.
func Confirm(a *invocation.App) *cobra.Command {
	var id string
	var asJSON bool
	c := &cobra.Command{
		Use:   "confirm USER [CODE]",
		Short: "Make an enrollment count, with a first code",
		Long: `confirm checks a first code, from the app or the token or as it was sent, against
the enrollment that waits for it. If the code is right, the device or address
counts from now on and replaces an older one with the same id. The code is used
up: it does not log in.

Somebody who has no recovery code left gets ten new ones, shown once.

CODE may be - to read it from standard input. Without CODE, confirm asks for it.`,
		Example: `  otpctl confirm alice 123456
  otpctl confirm alice - --json <code.txt
  otpctl confirm alice --id tablet`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: a.CompleteUser,
	}
	c.Flags().StringVar(&id, "id", "", "`name` of the device, if several wait")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(ctx context.Context, args []string) error {
		g, user, err := a.Enrolled(args[0])
		if err != nil {
			return err
		}
		code, err := firstCode(ctx, a, args[1:], firstPrompt(waiting(g, user, id)))
		if err != nil {
			return err
		}
		return confirmWith(ctx, a, g, user, id, code, asJSON)
	})
}

// waiting is the kind of what waits for its first code, as far as can be told.
func waiting(g admin.People, user, id string) (kind account.Kind) {
	// A file that cannot be read is for Confirm to complain about.
	person, _ := g.Accounts.Load(user)
	for _, f := range person.Factors {
		if f.Confirmed.IsZero() && (id == "" || f.ID == id) {
			kind = f.Kind
		}
	}
	return kind
}

// firstCode takes the code from where the command line says.
func firstCode(ctx context.Context, a *invocation.App, args []string, prompt string) (string, error) {
	switch {
	case len(args) == 1 && args[0] != "-":
		return args[0], nil
	case len(args) == 0 && !a.CanAsk():
		return "", invocation.Usage("CODE is missing, and there is no terminal to ask on; - reads it from standard input")
	}
	var code string
	var err error
	if len(args) == 0 {
		code, err = a.Ask(ctx, prompt)
	} else {
		code, err = a.Lines.Next()
	}
	if errors.Is(err, io.EOF) {
		return "", errors.New("no code was given")
	}
	return code, err
}

// confirmed is what confirm made, with new recovery codes.
type confirmed struct {
	User          string    `json:"user"`
	ID            string    `json:"id"`
	Kind          string    `json:"kind"`
	Confirmed     bool      `json:"confirmed"`
	ConfirmedAt   time.Time `json:"confirmed_at"`
	Enabled       bool      `json:"enabled"`
	RecoveryCodes []string  `json:"recovery_codes,omitempty"`
}

func confirmWith(ctx context.Context, a *invocation.App, g admin.People, user, id, code string, asJSON bool) error {
	done, err := g.Confirm(ctx, user, id, code)
	if err != nil {
		return err
	}
	f := done.Factor
	detail := "factor " + f.ID
	if done.Replaced {
		detail += " in place of the old one"
	}
	if done.RecoveryCodes != nil {
		detail += ", new recovery codes"
		a.Again = "otpctl recovery"
	}
	invocation.Changed(g, "confirm", audit.Record{User: user, Reason: detail})
	if asJSON {
		return a.JSON(confirmed{user, f.ID, string(f.Kind), true, f.Confirmed, !done.Disabled, done.RecoveryCodes})
	}
	a.Say("%s is confirmed for %s. This code is used up; the next one logs in.", f.ID, user)
	afterConfirming(a, user, done)
	return nil
}

// afterConfirming tells what came with a confirmation.
func afterConfirming(a *invocation.App, user string, done enrollment.Confirmation) {
	if done.Replaced {
		a.Say("The old %s no longer counts.", done.Factor.ID)
	}
	if done.Disabled {
		a.Note("%s is disabled, so no code counts: %s enable %s", user, a.Self(), user)
	}
	showRecovery(a, user, done.RecoveryCodes)
}
