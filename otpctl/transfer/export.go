package transfer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/backup"
	"github.com/otpgate/otpgate/internal/migrate"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Export is otpctl export.
func Export(a *invocation.App) *cobra.Command {
	var recipients []string
	var out string
	c := &cobra.Command{
		Use:   "export [USER...]",
		Short: "Write a backup, encrypted to an age key",
		Long: `export writes the secret files of people, or of everybody, with what they have
used, as a tar archive that is encrypted with age. Only somebody who has the
identity of a recipient can read it: make one with age-keygen, and do not keep it
with the backup. The archive lacks the configuration, the files that this names,
remembered logins and wrong codes.

otpctl import backup restores people. age -d -i KEYFILE FILE | tar tv shows what
is in the archive.`,
		Example: `  otpctl export --recipient age1... --out /root/otpgate.age
  otpctl export alice --recipient age1... | ssh backup 'cat >otpgate.age'`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.CompleteUsers,
	}
	c.Flags().StringArrayVar(&recipients, "recipient", nil, "public age `key` that it is encrypted to, as often as needed")
	c.Flags().StringVar(&out, "out", "", "new `file` (default: standard output, unless that is a terminal)")
	return a.Does(c, func(ctx context.Context, args []string) error {
		to, err := parseRecipients(recipients)
		if err != nil {
			return err
		}
		if out == "" && invocation.IsTerminal(a.Stdout) {
			return invocation.Usage("standard output is a terminal: expected --out FILE, or a pipe")
		}
		g, err := a.Gate()
		if err != nil {
			return err
		}
		names, err := a.SessionNames(g, args)
		if err != nil {
			return err
		}
		return exportTo(ctx, a, g, names, to, out)
	})
}

func parseRecipients(given []string) (to []age.Recipient, err error) {
	if len(given) == 0 {
		return nil, invocation.Usage("expected --recipient KEY, the public key of age-keygen; nothing is written that anybody could read")
	}
	for _, text := range given {
		parsed, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			// It is not quoted: whoever mistook the two gave the identity.
			return nil, invocation.Usage("--recipient: expected a public key of age-keygen, which begins with age1")
		}
		to = append(to, parsed...)
	}
	return to, nil
}

// exportTo writes the backup to a new file, or to standard output.
func exportTo(ctx context.Context, a *invocation.App, g admin.People, names []string, to []age.Recipient, path string) (err error) {
	if path == "" {
		n, failed, err := exportPeople(ctx, a, g, names, to, a.Out)
		return exported(a, g, n, failed, "standard output", err)
	}
	file, err := invocation.NewSecretFile("--out", path)
	if err != nil {
		return err
	}
	n, failed, err := exportPeople(ctx, a, g, names, to, file)
	if err = invocation.FinishSecretFile(file, err); err != nil {
		return err
	}
	return exported(a, g, n, failed, file.Name(), nil)
}

func exportPeople(ctx context.Context, a *invocation.App, g admin.People, names []string, to []age.Recipient, out io.Writer) (n, failed int, err error) {
	buffered := bufio.NewWriter(out)
	sealed, err := age.Encrypt(buffered, to...)
	if err != nil {
		return 0, 0, err
	}
	archive := backup.NewWriter(sealed, a.Now())
	bar := a.Begin("people written", len(names))
	for _, name := range names {
		b, err := g.Backup(ctx, name)
		if err != nil {
			a.Complain(fmt.Errorf("user %q: %w", name, err))
			failed++
			continue
		}
		if err := archive.Add(b); err != nil {
			return n, failed, err
		}
		n++
		bar.Step()
	}
	a.Clear()
	if err := archive.Close(); err != nil {
		return n, failed, err
	}
	if err := sealed.Close(); err != nil {
		return n, failed, err
	}
	return n, failed, buffered.Flush()
}

func exported(a *invocation.App, g admin.People, n, failed int, where string, err error) error {
	if err != nil {
		return err
	}
	exportedTo(g, n, where)
	a.Sum("%s written to %s", invocation.Counted(n, "person", "people"), where)
	if failed > 0 {
		return fmt.Errorf("%d of %d are not in it", failed, n+failed)
	}
	return nil
}

// exportedTo leaves a line in the log: secrets have left the machine.
func exportedTo(g admin.People, n int, where string) {
	invocation.Changed(g, "export", audit.Record{Reason: invocation.Counted(n, "person", "people") + " to " + where})
}

func importBackup(a *invocation.App) *cobra.Command {
	var flags importing
	var identity string
	var recovery bool
	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Bring people back from a backup of otpctl export",
		Long: `backup restores the secret files in a backup, for people who have none.

Codes that the ledger here or the backup knows as used stay used. For
authenticator apps, everything until now counts as used. If the ledger here was
lost, nothing shows what was used after the backup: a token's codes from then on
are good again until a later one is used (otpctl resync moves the token on), and
so would recovery codes be. Those come back only with --recovery-codes; otpctl
recovery makes new ones.`,
		Example: `  otpctl import backup otpgate.age --identity key.txt --dry-run
  otpctl import backup otpgate.age --identity key.txt`,
		Args: cobra.ExactArgs(1),
	}
	flags.register(c)
	c.Flags().StringVar(&identity, "identity", "", "`file` of age-keygen with the secret key")
	c.Flags().BoolVar(&recovery, "recovery-codes", false, "bring recovery codes back too; those used after the backup may be good again")
	return a.Does(c, func(ctx context.Context, args []string) error {
		if identity == "" {
			return invocation.Usage("expected --identity FILE, the file that age-keygen made")
		}
		people, err := openBackup(args[0], identity)
		if err != nil {
			return err
		}
		return bringBack(ctx, a, people, args[0], flags, recovery)
	})
}

// openBackup reads a backup to its end before anything is done with it: age
// says at the end alone that nothing is missing.
func openBackup(path, identity string) ([]admin.Backup, error) {
	keys, err := os.Open(identity)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	defer keys.Close()
	identities, err := age.ParseIdentities(keys)
	if err != nil {
		return nil, fmt.Errorf("--identity: %s: expected a file as age-keygen makes it", identity)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sealed := bufio.NewReaderSize(file, 64<<10)
	// An error here comes again below.
	if begin, _ := sealed.Peek(64 << 10); len(begin) > 0 {
		if err := tokenfile.ExpectNone(begin, tokenfile.AgeFile); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	plain, err := invocation.DecryptAge(sealed, identities...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	people, err := backup.Read(plain)
	if err == nil {
		_, err = io.Copy(io.Discard, plain)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return people, nil
}

func bringBack(ctx context.Context, a *invocation.App, people []admin.Backup, path string, flags importing, recovery bool) error {
	g, err := a.Gate()
	if err != nil {
		return err
	}
	report := importReport{a: a, settings: g.Config, dry: flags.dryRun, records: []importRecord{}}
	bar := a.Begin("people done", len(people))
	for _, b := range people {
		p := found{Person: migrate.Person{Imported: admin.Imported{User: b.User}}, file: path}
		left, err := bringOneBack(ctx, a, g, &p, admin.Restore{Backup: b, Replace: flags.replace, Recovery: recovery}, flags)
		report.add(p, left, err)
		bar.Step()
	}
	a.Clear()
	return report.end(flags.json)
}

func bringOneBack(ctx context.Context, a *invocation.App, g admin.People, p *found, r admin.Restore, flags importing) (recoveryLeft int, err error) {
	if !flags.noSystemCheck {
		// The file is of the name that it says, so it cannot become another's.
		switch canonical, known, err := a.Lookup(p.User); {
		case err != nil:
			return 0, err
		case !known:
			return 0, fmt.Errorf("user %q: %w", p.User, invocation.ErrUnknownUser)
		case canonical != p.User:
			return 0, fmt.Errorf("user %q: this machine knows the person as %q, and would not look for this file", p.User, canonical)
		}
	}
	done, err := g.Restore(ctx, r, flags.dryRun)
	if err != nil {
		return 0, err
	}
	for _, f := range done.Person.Factors {
		p.Factors = append(p.Factors, admin.ImportedFactor{Factor: f})
	}
	if done.Withheld > 0 {
		p.Remarks = append(p.Remarks, fmt.Sprintf("the recovery codes are not brought back, as some may have been used since; %s recovery %s makes new ones", a.Self(), p.User))
	}
	for _, id := range done.Forgotten {
		p.Remarks = append(p.Remarks, fmt.Sprintf("codes of %s that were used after the backup are good again; %s resync %s moves it on", id, a.Self(), p.User))
	}
	if !flags.dryRun {
		invocation.Changed(g, "import backup", auditOf(*p))
	}
	return done.RecoveryLeft, nil
}
