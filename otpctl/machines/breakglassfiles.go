package machines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// listedCodes is what is told of somebody's codes.
type listedCodes struct {
	User  string    `json:"user"`
	Made  time.Time `json:"made,omitzero"`
	Codes int       `json:"codes"`
	Left  int       `json:"left"`
	// Used is when one was used last.
	Used time.Time `json:"used,omitzero"`
}

func breakGlassList(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List who has break-glass codes here, and how many are left",
		Long: `list shows who has break-glass codes on this machine, how many have not been used
here, and when one was used last. A file that cannot be used is an error; its user
gets in with none.`,
		Example: `  otpctl break-glass list
  otpctl break-glass list --json | jq '.[] | select(.left < 4)'`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, an object for each")
	return a.Does(c, func(ctx context.Context, _ []string) error {
		settings, err := a.Settings()
		if err != nil {
			return err
		}
		names, err := breakglass.Names(settings.Paths.BreakGlass)
		if err != nil {
			return err
		}
		rows, wrong := []listedCodes{}, error(nil)
		for _, name := range names {
			codes, err := breakglass.Load(settings.Paths.BreakGlass, name)
			if err != nil {
				wrong = errors.Join(wrong, err)
				continue
			}
			entry, err := entryOf(ctx, settings, name)
			if err != nil {
				return err
			}
			rows = append(rows, listedCodes{name, codes.Made, len(codes.Hashes), codes.Left(entry), entry.LastLogin})
		}
		if asJSON {
			return errors.Join(a.JSON(rows), wrong)
		}
		return errors.Join(showList(a, rows), wrong)
	})
}

func showList(a *invocation.App, rows []listedCodes) error {
	if len(rows) == 0 {
		a.Say("Nobody has break-glass codes here.")
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tLEFT\tMADE\tLAST USED")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%d of %d\t%s\t%s\n", invocation.Printable(r.User), r.Left, r.Codes, invocation.When(r.Made), invocation.When(r.Used))
	}
	return table.Flush()
}

// installed is what became of hashes, in the words of invocation.Outcome.
type installed struct {
	User   string `json:"user"`
	Result string `json:"result"`
	Codes  int    `json:"codes"`
}

func breakGlassInstall(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "install USER",
		Short: "Take over the hashes of codes that were made elsewhere",
		Long: `install reads hashes from standard input, one a line, as otpctl break-glass --hashes
writes them, and has their codes be those of USER here, in the place of any others.
USER must be whom they were made for, spelled as here and there. The same hashes again
change nothing. A code that was used here stays used.

The hashes are worth nothing to a thief, but whoever can change them on their way can
have codes of his own installed.`,
		Example: `  otpctl break-glass root --elsewhere --hashes root.hashes
  ssh web1 otpctl break-glass install root <root.hashes`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(ctx context.Context, args []string) error {
		settings, err := breakGlassSettings(a)
		if err != nil {
			return err
		}
		name, err := nameAsMade(a, args[0])
		if err != nil {
			return err
		}
		hashes, err := readHashes(a.Stdin)
		if err != nil {
			return err
		}
		done := installed{name, invocation.Unchanged, len(hashes)}
		// A file that cannot be used is replaced.
		before, err := breakglass.Load(settings.Paths.BreakGlass, name)
		if err == nil && slices.Equal(before.Hashes, hashes) {
			// They may be there because this command could not be sure that they are.
			if err := breakglass.Settle(settings.Paths.BreakGlass); err != nil {
				return err
			}
		} else {
			kept := breakglass.Codes{Version: 1, User: name, Made: a.Now().UTC().Truncate(time.Second), Hashes: hashes}
			if err := keep(ctx, settings, kept); err != nil {
				return err
			}
			done.Result = invocation.ChangedResult
			changedBreakGlass(a, "break-glass install", name, fmt.Sprintf("%d codes", len(hashes)))
		}
		if asJSON {
			return a.JSON(done)
		}
		a.Sum("%s has %s here; %s", name, invocation.Counted(len(hashes), "break-glass code", "break-glass codes"), done.Result)
		return nil
	})
}

// nameAsMade refuses another spelling than the system's: the codes are good for the name
// alone that they were made for, and would be worthless under the system's.
func nameAsMade(a *invocation.App, given string) (string, error) {
	if name, found, err := a.Lookup(given); err == nil && found && name != given {
		return "", fmt.Errorf("this machine knows %s as %s, and a code is good for that name alone for which it was made; make codes with otpctl break-glass %[2]s --elsewhere, and install those for %[2]s", given, name)
	}
	return a.SystemName(given)
}

// maxInput is far above what hashes take.
const maxInput = 64 << 10

func readHashes(from io.Reader) ([]string, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	hashes := strings.Fields(string(data))
	if len(data) > maxInput || len(hashes) == 0 {
		return nil, errors.New("standard input: expected hashes, one a line, as otpctl break-glass --hashes writes them")
	}
	if err := breakglass.CheckHashes(hashes); err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return hashes, nil
}

func breakGlassRemove(a *invocation.App) *cobra.Command {
	c := &cobra.Command{
		Use:     "remove USER",
		Short:   "Take somebody's break-glass codes away",
		Long:    `remove takes the file away. Its codes are worthless here from then on.`,
		Example: `  otpctl break-glass remove root`,
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			settings, err := a.Settings()
			if err != nil || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			names, _ := breakglass.Names(settings.Paths.BreakGlass)
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	return a.Does(c, func(_ context.Context, args []string) error {
		settings, err := a.Settings()
		if err != nil {
			return err
		}
		if err := account.CheckName(args[0]); err != nil {
			return invocation.UsageError{Err: err}
		}
		if err := breakglass.Remove(settings.Paths.BreakGlass, args[0]); err != nil {
			return err
		}
		changedBreakGlass(a, "break-glass remove", args[0], "the codes are worthless")
		a.Sum("%s has no break-glass codes here any more", args[0])
		return nil
	})
}
