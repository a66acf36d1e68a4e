package people

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Resync is otpctl resync.
func Resync(a *invocation.App) *cobra.Command {
	var id string
	var asJSON, ahead bool
	c := &cobra.Command{
		Use:   "resync USER [CODE CODE]",
		Short: "Put a device right whose clock or counter is far off",
		Long: `resync takes two codes that the device shows one after the other, finds them, and
remembers how far the device is off, so that its codes are right from then on.
For apps it looks a day either way, for tokens 1,000 codes ahead. Give the second
code while the device shows it.

If the phone can set its clock by the network, do that instead; nothing else is
needed then.

resync uses up both codes and all before them. So a clock that was ahead and is
set right later gives codes that count as used until it gets to where it was. A
clock that is more than 20 steps ahead (ten minutes) is therefore refused, and
nothing changes. --ahead follows it all the same, for a device whose clock cannot
be set; a new key ends that: otpctl enroll USER --id ID --replace.

Without the codes, resync asks for them; - reads them from standard input, each
on a line.`,
		Example: `  otpctl resync alice
  otpctl resync alice 123456 654321
  otpctl resync alice --id token - --json <codes.txt`,
		Args:              cobra.RangeArgs(1, 3),
		ValidArgsFunction: a.CompleteUser,
	}
	c.Flags().StringVar(&id, "id", "", "`name` of the device, if there are several")
	c.Flags().BoolVar(&ahead, "ahead", false, "follow a clock that is far ahead too, instead of having it set right")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(ctx context.Context, args []string) error {
		g, name, err := a.Enrolled(args[0])
		if err != nil {
			return err
		}
		first, second, err := twoCodes(ctx, a, args[1:])
		if err != nil {
			return err
		}
		done, err := g.Resync(ctx, name, id, first, second, ahead)
		if err != nil {
			return err
		}
		invocation.Changed(g, "resync", audit.Record{User: name, Reason: "factor " + done.Factor.ID + ", " + offBy(done)})
		if asJSON {
			return a.JSON(newResynced(name, done))
		}
		showResynced(a, name, done)
		return remarkOnLock(ctx, a, g, name)
	})
}

// twoCodes takes the codes from where the command line says.
func twoCodes(ctx context.Context, a *invocation.App, args []string) (first, second string, err error) {
	switch {
	case len(args) == 2:
		return args[0], args[1], nil
	case len(args) == 1 && args[0] != "-":
		return "", "", invocation.Usage("expected two codes, one after the other")
	case len(args) == 0 && !a.CanAsk():
		return "", "", invocation.Usage("the codes are missing, and there is no terminal to ask on; - reads them from standard input")
	}
	if first, err = a.Answer(ctx, "Code that the device shows: "); err == nil {
		second, err = a.Answer(ctx, "The next one: ")
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("expected two codes")
	}
	return first, second, err
}

// resynced is what resync found: DriftSeconds of a clock, Skipped of a token.
type resynced struct {
	User         string       `json:"user"`
	ID           string       `json:"id"`
	Confirmed    bool         `json:"confirmed"`
	Kind         account.Kind `json:"kind"`
	DriftSeconds *int         `json:"drift_seconds,omitempty"`
	Skipped      *int         `json:"skipped,omitempty"`
}

func newResynced(name string, done admin.Resynced) resynced {
	result := resynced{User: name, ID: done.Factor.ID, Kind: done.Factor.Kind, Confirmed: !done.Factor.Confirmed.IsZero()}
	if result.Kind == account.HOTP {
		result.Skipped = &done.Ahead
		return result
	}
	seconds := done.Ahead * done.Factor.Period
	result.DriftSeconds = &seconds
	return result
}

// offBy says how far the device was off.
func offBy(done admin.Resynced) string {
	if done.Factor.Kind == account.HOTP {
		return factor.Codes(done.Ahead)
	}
	return factor.Steps(done.Ahead, done.Factor.Period)
}

func showResynced(a *invocation.App, name string, done admin.Resynced) {
	id := done.Factor.ID
	if done.Factor.Confirmed.IsZero() {
		a.Say("%s of %s was %s. Both codes are used up; the next one can confirm it.", id, name, offBy(done))
		a.Note("%s does not count yet, so its codes log nobody in: %s confirm %s CODE --id %s", id, a.Self(), name, id)
		return
	}
	a.Say("%s of %s was %s. Both codes are used up; the next one is right.", id, name, offBy(done))
	if done.Factor.Kind == account.TOTP && done.Ahead > factor.MaxAhead {
		a.Note("do not set its clock right now: its codes would be refused for as long as it was ahead, and only %s enroll %s --id %s --replace ends that", a.Self(), name, id)
	}
}

// remarkOnLock tells of a lock that the codes which were off may have led to.
func remarkOnLock(ctx context.Context, a *invocation.App, g admin.People, name string) error {
	until, err := g.LockedUntil(ctx, gate.Request{User: name})
	if err == nil && !until.IsZero() {
		a.Note("wrong codes lock %s until %s: %s unlock %s", name, invocation.When(until), a.Self(), name)
	}
	return err
}
