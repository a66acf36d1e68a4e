package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/ledgermove"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// toEtcd is where a ledger can be moved to.
const toEtcd = "etcd"

func ledgerMove(a *invocation.App) *cobra.Command {
	var to string
	var undo, people, asJSON bool
	c := &cobra.Command{
		Use:   "move (--to etcd | --people | --undo)",
		Short: "Move the ledger, or people, from files to etcd",
		Long: `move takes what the files in paths.state know to the ledger of [ledger], and has
nothing count in the files any more. From the moment that [ledger] is in the configuration
until the move is done, no code is good on this server: who has break-glass codes of it is
asked for one, and whoever else is asked for a code is denied.

It reads everything on both sides first. An entry of which etcd has another one, or
that cannot be read, is named, and then nothing is begun. Files that are an older copy of
what was moved before are refused. A move that was broken off goes on when it is run
again. Until it is done --undo takes it back, also while etcd is away: then the files
count again.

Where there are no files it only notes in paths.state where the ledger is. From then on
nothing on this server opens a ledger in files, whatever the configuration says, nor
another one in etcd.

With --people it takes the secret files in paths.users to etcd, where they count with
ledger.people = true, and in that directory no more. Their secrets must be encrypted. It
reads both sides first, replaces nothing in etcd, and goes on when it is run again. Until
then whoever was not moved is denied.`,
		Example: `  otpctl ledger move --to etcd
  otpctl ledger move --people
  otpctl ledger move --undo`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&to, "to", "", "move it to `PLACE`: etcd, as [ledger] of the configuration says")
	c.Flags().BoolVar(&people, "people", false, "move the secret files in paths.users")
	c.Flags().BoolVar(&undo, "undo", false, "take back a move that is not done")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	invocation.Complete(c, "to", toEtcd)
	return a.Does(c, func(ctx context.Context, _ []string) error {
		switch {
		case undo && to != "":
			return invocation.Usage("expected --to or --undo, found both")
		case people && (undo || to != ""):
			return invocation.Usage("expected --people without --to or --undo")
		case people:
			return movePeople(ctx, a, asJSON)
		case undo:
			return undoMove(ctx, a, asJSON)
		case to != toEtcd:
			return invocation.Usage("--to: expected %s, found %q", toEtcd, to)
		}
		return moveLedger(ctx, a, asJSON)
	})
}

// moveOf is the move on this machine, or what is to be undone of it, without where to.
func moveOf(a *invocation.App, undo bool) (ledgermove.Move, config.Config, error) {
	settings, err := a.Settings()
	if err != nil {
		return ledgermove.Move{}, settings, err
	}
	if !undo && settings.Ledger == nil {
		return ledgermove.Move{}, settings, errors.New("the configuration has no [ledger], which says where etcd is; docs/ledger.md has what it needs")
	}
	if _, err := os.Stat(settings.Paths.State); undo && errors.Is(err, fs.ErrNotExist) {
		return ledgermove.Move{}, settings, fmt.Errorf("there is no ledger in files at %s", settings.Paths.State)
	}
	return ledgermove.Move{
		Dir: settings.Paths.State, Kind: toEtcd, Now: a.Now,
		Names: func() ([]string, error) {
			dir, err := account.PlaceOf(settings).Open()
			if err != nil {
				return nil, err
			}
			defer dir.Close()
			return dir.Names()
		},
		Progress: func(what string, total int) func() { return a.Begin(what, total).Step },
	}, settings, nil
}

// movedLedger is what was done.
type movedLedger struct {
	To      string    `json:"to"`
	Prefix  string    `json:"prefix"`
	ID      string    `json:"id"`
	Begun   time.Time `json:"begun"`
	Entries int       `json:"entries"`
	Copied  int       `json:"copied"`
	Before  int       `json:"before"`
	Already bool      `json:"already"`
	Notes   []string  `json:"notes"`
}

func moveLedger(ctx context.Context, a *invocation.App, asJSON bool) error {
	move, settings, err := moveOf(a, false)
	if err != nil {
		return err
	}
	move.To, move.Prefix = gate.SharedLedger(*settings.Ledger), settings.Ledger.Prefix
	defer move.To.Close()
	if err := servesPrefix(ctx, move.To, move.Prefix); err != nil {
		return err
	}
	result, err := move.Run(ctx)
	a.Clear()
	if err != nil {
		return leftBy(settings.Paths.State, err)
	}
	if err := peopleElsewhere(ctx, move.To, settings); err != nil {
		a.Note("%v", err)
	}
	if !result.Already {
		recordMove(a, "move", fmt.Sprintf("%s to %s %s", entries(result.Entries), result.To, result.ID))
	}
	if asJSON {
		return a.JSON(movedLedger{result.To, result.Prefix, result.ID, result.Begun, result.Entries, result.Copied, result.Before, result.Already, append([]string{}, result.Notes...)})
	}
	if result.Already {
		a.Say("The ledger was moved already, on %s: it is in etcd, %s.", result.Begun.Format(time.DateOnly), result.Prefix)
		return nil
	}
	a.Say("The ledger is in etcd now, %s, with %s from %s.", result.Prefix, entries(result.Entries), settings.Paths.State)
	a.Say("Its id is %s.", result.ID)
	for _, note := range result.Notes {
		a.Say("%s", note)
	}
	return nil
}

// servesPrefix says whether otpgate-ledgerd was started with the prefix of the configuration:
// else the move would be to another ledger than the one that it says.
func servesPrefix(ctx context.Context, to *casledger.Store, prefix string) error {
	status, err := to.Status(ctx)
	if err == nil && status.Prefix != prefix {
		err = fmt.Errorf("otpgate-ledgerd keeps the ledger under %q, expected %q as the configuration says: systemctl restart otpgate-ledgerd", status.Prefix, prefix)
	}
	return err
}

// leftBy adds to an error what it leaves behind.
func leftBy(dir string, err error) error {
	moved, found, unread := ledger.ReadMoved(dir)
	_, said := errors.AsType[ledger.MovedError](err)
	if _, older := errors.AsType[ledgermove.OlderError](err); said || older || unread != nil || !found || moved.Done {
		return err
	}
	return fmt.Errorf("%w\nthe move is not done, and until it is everybody who is asked for a code is denied, but for break-glass codes: run it again, or take it back with --undo", err)
}

func undoMove(ctx context.Context, a *invocation.App, asJSON bool) error {
	move, settings, err := moveOf(a, true)
	if err != nil {
		return err
	}
	if settings.Ledger != nil {
		move.To = gate.SharedLedger(*settings.Ledger)
		defer move.To.Close()
	}
	undone, err := move.Undo(ctx)
	a.Clear()
	if err != nil {
		return err
	}
	recordMove(a, "move --undo", fmt.Sprintf("%s, from %s %s", entries(undone.Entries), undone.To, undone.ID))
	if asJSON {
		return a.JSON(struct {
			Undone  bool     `json:"undone"`
			Entries int      `json:"entries"`
			Damaged []string `json:"damaged"`
		}{true, undone.Entries, append([]string{}, undone.Damaged...)})
	}
	a.Say("The move was taken back: the files in %s count again, with %s.", settings.Paths.State, entries(undone.Entries))
	for _, one := range undone.Damaged {
		a.Say("%s", one)
	}
	a.Say("NO SERVER MAY USE THE LEDGER IN ETCD NOW: each code would be good there too.")
	if settings.Ledger != nil {
		a.Say("Take [ledger] out of the configuration. While it is there, whoever is asked for a code is denied here, but for break-glass codes.")
	}
	return nil
}

// recordMove writes the audit line.
func recordMove(a *invocation.App, command, reason string) {
	a.Sink().Write(audit.Record{TTY: invocation.Tty(), Verdict: "changed", Rule: "otpctl ledger " + command, Reason: reason + ", by " + invocation.Whoami()})
}
