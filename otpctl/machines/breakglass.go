package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// BreakGlass is otpctl break-glass.
func BreakGlass(a *invocation.App) *cobra.Command {
	var asJSON, elsewhere bool
	var hashes string
	c := &cobra.Command{
		Use:   "break-glass USER",
		Short: "Make codes by which somebody gets in while no server answers",
		Long: `break-glass makes eight codes for a client, or for a server whose ledger is in etcd,
shows them once, and keeps their hashes in USER.toml in paths.break_glass. USER is
asked for one of them only while no server, or not enough of etcd, can be reached;
each is good once on this machine. Earlier codes are worthless from then on, and
wrong ones of before are forgotten.

Have at least one account that can become root get such codes on each machine, and
keep them on paper, away from it. For many machines, --elsewhere shows codes and
keeps nothing here; --hashes writes their hashes to a new file, one a line, which
install reads on each. --json prints them too.

A machine that decides logins by its own files and ledger asks for no such code.`,
		Example: `  otpctl break-glass root
  otpctl break-glass root --elsewhere --hashes root.hashes
  ssh web1 otpctl break-glass install root <root.hashes
  otpctl break-glass list`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, with the hashes")
	c.Flags().BoolVar(&elsewhere, "elsewhere", false, "make codes for other machines, and keep nothing here")
	c.Flags().StringVar(&hashes, "hashes", "", "with --elsewhere: new `file` for the hashes, one a line, as install reads them")
	c.AddCommand(breakGlassList(a), breakGlassInstall(a), breakGlassRemove(a))
	return a.Does(c, func(ctx context.Context, args []string) error {
		codes, kept, path, err := makeWithHashes(ctx, a, args[0], elsewhere, hashes)
		if err != nil {
			return err
		}
		a.Again = "otpctl break-glass again"
		if asJSON {
			return a.JSON(madeCodes{kept.User, codes, kept.Hashes, path})
		}
		showBreakGlass(a, kept.User, codes, elsewhere)
		return nil
	})
}

// madeCodes is what break-glass made.
type madeCodes struct {
	User   string   `json:"user"`
	Codes  []string `json:"codes"`
	Hashes []string `json:"hashes"`
	File   string   `json:"file,omitempty"`
}

// makeWithHashes makes codes and writes their hashes to a new file, if one is named: then
// for other machines alone, so that no codes are good that nobody was shown. Whoever cannot have that file is told so before there are codes.
func makeWithHashes(ctx context.Context, a *invocation.App, given string, elsewhere bool, hashes string) (codes []string, kept breakglass.Codes, path string, err error) {
	if hashes == "" {
		return makeBreakGlass(ctx, a, given, elsewhere)
	}
	if !elsewhere {
		return nil, kept, "", invocation.Usage("--hashes is for codes of other machines: expected --elsewhere too, and install puts them on this one as well")
	}
	file, err := invocation.NewSecretFile("--hashes", hashes)
	if err != nil {
		return nil, kept, "", err
	}
	codes, kept, path, err = makeBreakGlass(ctx, a, given, elsewhere)
	if err == nil {
		_, err = file.WriteString(strings.Join(kept.Hashes, "\n") + "\n")
	}
	return codes, kept, path, invocation.FinishSecretFile(file, err)
}

func makeBreakGlass(ctx context.Context, a *invocation.App, given string, elsewhere bool) (codes []string, kept breakglass.Codes, path string, err error) {
	if elsewhere {
		if err := account.CheckName(given); err != nil {
			return nil, kept, "", invocation.UsageError{Err: err}
		}
		codes, kept = breakglass.New(given, a.Now())
		return codes, kept, "", nil
	}
	settings, err := breakGlassSettings(a)
	if err != nil {
		return nil, kept, "", err
	}
	name, err := a.SystemName(given)
	if err != nil {
		return nil, kept, "", err
	}
	codes, kept = breakglass.New(name, a.Now())
	if err := keep(ctx, settings, kept); err != nil {
		return nil, kept, "", err
	}
	changedBreakGlass(a, "break-glass", name, fmt.Sprintf("%d codes", len(codes)))
	return codes, kept, breakglass.Path(settings.Paths.BreakGlass, name), nil
}

// breakGlassSettings are those of a machine that asks for break-glass codes.
func breakGlassSettings(a *invocation.App) (config.Config, error) {
	settings, err := a.Settings()
	if err == nil && !settings.UsesBreakGlass() {
		err = errors.New("this machine decides logins by its own files and ledger, and asks for no break-glass code: those are for clients, which have [remote], and for servers that share a ledger, which have [ledger]. otpctl recovery makes codes for people here, and --elsewhere break-glass codes for other machines")
	}
	return settings, err
}

// keep writes the file of somebody's codes, and forgets what wrong ones were given
// before: nobody has guessed at these. The ledger comes first. If it fails, the codes that
// somebody has on paper stay good: the new ones would never be shown.
func keep(ctx context.Context, settings config.Config, kept breakglass.Codes) error {
	store, err := ledger.OpenOwn(settings.Paths.State)
	if err != nil {
		return err
	}
	defer store.Close()
	err = store.Update(ctx, breakglass.Key(kept.User), func(entry *ledger.Entry) error {
		entry.Attempts, entry.Peers = ledger.Attempts{}, nil
		return nil
	})
	if err != nil {
		return err
	}
	return breakglass.Save(settings.Paths.BreakGlass, kept)
}

// entryOf is what the machine remembers of somebody's codes.
func entryOf(ctx context.Context, settings config.Config, user string) (ledger.Entry, error) {
	// Whoever only looks makes no directory.
	if _, err := os.Stat(settings.Paths.State); errors.Is(err, fs.ErrNotExist) {
		return ledger.Entry{}, nil
	}
	store, err := ledger.OpenOwn(settings.Paths.State)
	if err != nil {
		return ledger.Entry{}, err
	}
	defer store.Close()
	return store.View(ctx, breakglass.Key(user))
}

func showBreakGlass(a *invocation.App, user string, codes []string, elsewhere bool) {
	where := "this machine"
	if elsewhere {
		where = "each machine that has their hashes"
	}
	a.Say("Break-glass codes of %s. Each is good once on %s, while no server", user, where)
	a.Say("can be reached. They are shown this once: keep them on paper, away from the machine.")
	a.Say("")
	for _, code := range codes {
		a.Say("  %s", code)
	}
}

// changedBreakGlass writes the audit line of a change.
func changedBreakGlass(a *invocation.App, command, user, reason string) {
	a.Sink().Write(audit.Record{
		User: user, TTY: invocation.Tty(), Verdict: "changed", Rule: "otpctl " + command, Reason: reason + ", by " + invocation.Whoami(),
	})
}
