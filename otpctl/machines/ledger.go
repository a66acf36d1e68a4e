package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Ledger is otpctl ledger.
func Ledger(a *invocation.App) *cobra.Command {
	return invocation.Group(&cobra.Command{
		Use:   "ledger COMMAND",
		Short: "Look at what remembers which codes were used, or move it",
		Long: `ledger looks at the ledger, which remembers what logins have used up: files in
paths.state, or etcd where [ledger] says so. move takes it from the one to the other.`,
		Example: `  otpctl ledger status
  otpctl ledger check`,
	}, ledgerStatus(a), ledgerCheck(a), ledgerMove(a))
}

// anyLedger is what a ledger can do for these commands.
type anyLedger interface {
	ledger.Store
	ledger.Walker
	KnownID(ctx context.Context) (string, error)
}

// openLedger opens the machine's ledger to look at it, whether it counts yet or not.
// found is false where there is none yet: whoever only looks makes no directory.
func openLedger(a *invocation.App) (settings config.Config, store anyLedger, found bool, err error) {
	settings, err = a.Settings()
	if err != nil {
		return settings, nil, false, err
	}
	if settings.Ledger != nil {
		return settings, gate.SharedLedger(*settings.Ledger), true, nil
	}
	if _, err := os.Stat(settings.Paths.State); errors.Is(err, fs.ErrNotExist) {
		return settings, nil, false, nil
	}
	opened, err := gate.OpenLedger(settings)
	if err != nil {
		return settings, nil, false, err
	}
	return settings, opened.(anyLedger), true, nil
}

// ledgerState is what is told of the ledger.
type ledgerState struct {
	Kind    string             `json:"kind"`  // files, etcd
	Place   string             `json:"place"` // the directory, or the prefix in etcd
	ID      string             `json:"id,omitempty"`
	Entries *int               `json:"entries,omitempty"` // nil if they could not be counted
	Size    int                `json:"size,omitempty"`
	Members []casledger.Member `json:"members,omitempty"`
}

func ledgerStatus(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say where the ledger is and how it is",
		Long: `status says where the ledger is, the id by which clients know it, and how many entries
it has. Of etcd it says what each member says of itself: version, size against the
quota at which etcd takes no more changes, alarms. The exit status is 1 if the ledger,
or one of its members, cannot be reached, or if it does not count here yet as the files
in paths.state were not moved.`,
		Example: `  otpctl ledger status
  otpctl ledger status --json | jq '.members[].version'`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(ctx context.Context, _ []string) error {
		state, err := stateOfLedger(ctx, a)
		if state.Kind == "" {
			return err
		}
		if asJSON {
			return errors.Join(a.JSON(state), err)
		}
		return errors.Join(showLedger(a, state), err)
	})
}

// stateOfLedger tells what it can, also if the error says what it cannot.
func stateOfLedger(ctx context.Context, a *invocation.App) (state ledgerState, err error) {
	settings, store, found, err := openLedger(a)
	if err != nil {
		return state, err
	}
	state = ledgerState{Kind: "files", Place: settings.Paths.State}
	if !found {
		state.Entries = new(int)
		return state, nil
	}
	defer store.Close()
	if shared, ok := store.(*casledger.Store); ok {
		state.Kind, state.Place = "etcd", settings.Ledger.Prefix
		status, err := shared.Status(ctx)
		if err != nil {
			return state, err
		}
		// What otpgate-ledgerd has, which a change of the configuration takes a restart of.
		state.Place, state.Size, state.Members = status.Prefix, status.Size, status.Members
	}
	state.ID, err = store.KnownID(ctx)
	if err == nil {
		count := 0
		err = store.Each(ctx, func(string, error) error {
			count++
			return nil
		})
		if err == nil {
			state.Entries = &count
		}
	}
	err = errors.Join(err, notMoved(ctx, settings))
	for _, member := range state.Members {
		if member.Version == "" {
			err = errors.Join(err, fmt.Errorf("%s: %s", member.URL, member.Problem))
		}
	}
	return state, err
}

// notMoved says why a ledger in etcd does not count on this machine.
func notMoved(ctx context.Context, settings config.Config) error {
	if settings.Ledger == nil {
		return nil
	}
	store, err := gate.OpenLedger(settings)
	if err != nil {
		return err
	}
	defer store.Close()
	if settings.Ledger.People {
		if err := ledger.CheckNoted(settings.Paths.State, settings.Ledger.Prefix); err != nil {
			return err
		}
	}
	shared := store.(*casledger.Store)
	return errors.Join(shared.CheckFormer(ctx), peopleElsewhere(ctx, shared, settings))
}

// peopleElsewhere says that other servers have people in etcd where this one has files.
func peopleElsewhere(ctx context.Context, shared *casledger.Store, settings config.Config) error {
	if settings.Ledger.People {
		return nil
	}
	if has, err := shared.HasTexts(ctx); err != nil || !has {
		return err
	}
	return fmt.Errorf("people are in etcd, and ledger.people of the configuration is not true: whoever has not enrolled in the files of this server is denied here, as they may have on another one; set it as on the other servers, and run otpctl ledger move --people. If no server has people in etcd any more: etcdctl del --prefix %s%s", settings.Ledger.Prefix, casledger.TextDirectory)
}

func showLedger(a *invocation.App, s ledgerState) error {
	a.Say("The ledger is in %s, %s.", s.Kind, s.Place)
	if s.ID != "" {
		a.Say("Its id is %s.", s.ID)
	}
	if s.Entries != nil {
		a.Say("It has %s.", entries(*s.Entries))
	}
	if len(s.Members) == 0 {
		return nil
	}
	if s.Size > 0 {
		a.Say("Of etcd's %d members %d must work.", s.Size, s.Size/2+1)
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MEMBER\tVERSION\tLEADER\tSIZE\tQUOTA\tALARMS\tCLOCK")
	for _, m := range s.Members {
		if m.Version == "" {
			fmt.Fprintf(table, "%s\tno answer\t\t\t\t\t\n", invocation.Printable(m.URL))
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", invocation.Printable(m.URL), invocation.Printable(m.Version), word(m.Leader),
			mebibytes(m.Bytes), mebibytes(m.Quota), some(m.Alarms), clockOf(m))
	}
	return table.Flush()
}

func entries(n int) string {
	if n == 1 {
		return "one entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// clockOf is how far a member's clock is from this machine's, as far as two seconds tell.
func clockOf(m casledger.Member) string {
	if m.Clock.IsZero() {
		return "-"
	}
	if off := m.Clock.Sub(m.Asked).Truncate(time.Second); off.Abs() > 2*time.Second {
		return fmt.Sprintf("%+.0f s", off.Seconds())
	}
	return "as here"
}

func ledgerCheck(a *invocation.App) *cobra.Command {
	return a.Does(&cobra.Command{
		Use:   "check",
		Short: "Read every entry of the ledger",
		Long: `check reads every entry of the ledger, names those that cannot be used, and fails if
there are any. Whoever such an entry is of is denied until it is mended or taken away.`,
		Example: `  otpctl ledger check`,
		Args:    cobra.NoArgs,
	}, func(ctx context.Context, _ []string) error {
		settings, store, found, err := openLedger(a)
		if err == nil {
			err = notMoved(ctx, settings)
		}
		if err != nil {
			return err
		}
		read, wrong := 0, 0
		if found {
			defer store.Close()
			err = store.Each(ctx, func(name string, err error) error {
				read++
				if err != nil {
					wrong++
					a.Say("%s: %v", name, err)
				}
				return nil
			})
		}
		if err != nil {
			return err
		}
		if wrong > 0 {
			return fmt.Errorf("%d of %d cannot be used", wrong, read)
		}
		a.Say("All can be used: %s.", entries(read))
		return nil
	})
}
