// Package transfer has otpctl's commands that bring people from another module, or
// from a backup, and write backups.
//
// Each exported function is a command, named as on the command line. What was used
// up there stays used up.
package transfer

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/migrate"
	"github.com/otpgate/otpgate/internal/tokenfile"
	"github.com/otpgate/otpgate/otpctl/invocation"
	"github.com/otpgate/otpgate/otpctl/people"
)

// Import is otpctl import.
func Import(a *invocation.App) *cobra.Command {
	return invocation.Group(&cobra.Command{
		Use:   "import COMMAND",
		Short: "Take people over from another module, server or app, a file or a backup",
		Long: `import takes over what people have elsewhere: keys, counters, clock drifts and
unused scratch codes. These people count as enrolled at once. The old files are
only read. If a file is in another format, the error says what it looks like, and
shows nothing that could not be read.

Codes that were used there are used here too. Codes that are used there after the
import are not known here, so take the old module's line out of pam.d before it
or at the same time.`,
		Example: `  otpctl import google-authenticator --home-dirs --dry-run
  otpctl import oath /etc/users.oath
  otpctl import pskc tokens.xml --map who.csv`,
	}, importGoogle(a), importOath(a), importURI(a), importPSKC(a),
		importServer(a, "privacyidea", "privacyIDEA", "and the counter or the period.\nIn a file that begins with # version: 2 the user, the resolver and the realm stand in front.", tokenfile.PrivacyIDEA),
		importServer(a, "linotp", "LinOTP", "the period,\nand the algorithm. Without that, keys of 32 and 64 bytes are of SHA256 and SHA512.", tokenfile.LinOTP),
		importApp(a, "andotp", "andOTP", "Backups, Plain-text backup", tokenfile.AndOTP),
		importApp(a, "aegis", "Aegis", "Settings, Import & Export, Export as\nJSON, not encrypted", tokenfile.Aegis),
		importApp(a, "2fas", "2FAS", "Settings, 2FAS Backup, Export, without\na password", tokenfile.TwoFAS),
		importGoogleApp(a),
		importCSV(a), importBackup(a))
}

// importing is what the imports from other modules share.
type importing struct {
	replace, dryRun, json, noSystemCheck bool
}

func (i *importing) register(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&i.replace, "replace", false, "also people who are enrolled here: replace devices with the same id")
	f.BoolVar(&i.dryRun, "dry-run", false, "check everything and write nothing")
	f.BoolVar(&i.json, "json", false, "print a JSON array, an object for each person")
	f.BoolVar(&i.noSystemCheck, "no-user-check", false, "also people whom this machine does not know")
}

func importGoogle(a *invocation.App) *cobra.Command {
	var flags importing
	var homes bool
	var users []string
	c := &cobra.Command{
		Use:   "google-authenticator --home-dirs | FILE...",
		Short: "Take people over from pam_google_authenticator",
		Long: `google-authenticator reads files of google-authenticator(1): those in the homes
of this machine's users, or those named. A file in a home is read with its
owner's rights, must be that person's own, and counts only for that person.

A named FILE belongs to the person whose name it has or, if its name is
.google_authenticator, to its owner; --user overrides that. It must be root's or
that person's own.

The key becomes the device phone or, with a counter, token. Unused scratch codes
become recovery codes, good once each. Codes that the file shows as used are
used; if it does not say which were, all until now are. WINDOW_SIZE and
RATE_LIMIT are not taken over: totp.window, hotp.window and policy.attempts hold
for everybody.`,
		Example: `  otpctl import google-authenticator --home-dirs --dry-run
  otpctl import google-authenticator --home-dirs
  otpctl import google-authenticator --home-dirs --user alice
  otpctl import google-authenticator /var/lib/google-authenticator/*`,
		Args: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("home-dirs") == (len(args) > 0) {
				return errors.New("one of the two is needed")
			}
			return nil
		},
	}
	flags.register(c)
	c.Flags().BoolVar(&homes, "home-dirs", false, "read .google_authenticator in the homes of all users")
	c.Flags().StringArrayVar(&users, "user", nil, "with --home-dirs only this user's `NAME`, as often as needed; with one FILE, the user whose it is")
	return a.Does(c, func(ctx context.Context, args []string) error {
		if len(args) > 0 && len(users) > 0 && len(args)+len(users) != 2 {
			return invocation.Usage("--user says whose one file is, found %d files and %d users", len(args), len(users))
		}
		people, err := googlePeople(a, homes, args, users)
		if err != nil {
			return err
		}
		return bringAlong(ctx, a, "import google-authenticator", people, flags)
	})
}

// googlePeople are those in the homes or in the files that were named.
func googlePeople(a *invocation.App, homes bool, files, users []string) (people []found, err error) {
	if homes {
		people, err = inHomes(a, users)
	} else {
		people, err = inFiles(a, files, users)
	}
	if err == nil && len(people) == 0 {
		a.Sum("nobody has a %s", googleName)
	}
	return people, err
}

func importOath(a *invocation.App) *cobra.Command {
	var flags importing
	var options migrate.OathOptions
	c := &cobra.Command{
		Use:   "oath FILE",
		Short: "Take people over from pam_oath",
		Long: `oath reads a usersfile of pam_oath: HOTP, HOTP/E, HOTP/T30 and HOTP/T60, each with
/6, /7 or /8. The file must be root's. A file in somebody's home counts only for
its owner.

Keys become the devices phone (time) or token (counter); further ones of a person
are phone2 or token2 and so on. The last code that was used and all before it
count as used. otpgate asks for no PIN in addition to the code, so a line with a PIN is
refused unless --without-pins drops the PIN.`,
		Example: `  otpctl import oath /etc/users.oath --dry-run
  otpctl import oath /etc/users.oath`,
		Args: cobra.ExactArgs(1),
	}
	flags.register(c)
	c.Flags().BoolVar(&options.WithoutPINs, "without-pins", false, "take lines that have a PIN, and drop the PIN")
	return a.Does(c, func(ctx context.Context, args []string) error {
		options.Zone = time.Local
		people, err := inUsersfile(a, args[0], options)
		if err != nil {
			return err
		}
		if len(people) == 0 {
			a.Sum("%s names nobody", args[0])
		}
		return bringAlong(ctx, a, "import oath", people, flags)
	})
}

func importCSV(a *invocation.App) *cobra.Command {
	flags := people.EnrollFlags{}
	many := people.Bulk{Command: "import csv"}
	c := &cobra.Command{
		Use:     "csv FILE",
		Short:   "Enroll everybody in a file of comma-separated values",
		Long:    "csv does what otpctl enroll --csv FILE does; - is standard input.\n\nIt enrolls everybody in the file." + people.ColumnsHelp,
		Example: "  otpctl import csv people.csv --dry-run\n  otpctl import csv people.csv --out secrets.csv",
		Args:    cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&many.Out, "out", "", "new `file` for the URIs and recovery codes")
	f.BoolVar(&many.DryRun, "dry-run", false, "check everything and write nothing")
	f.StringVar(&flags.Totp.Issuer, "issuer", "", "`name` of this place in the app (default: the configuration's, or the host name)")
	f.BoolVar(&flags.Replace, "replace", false, "take the place of devices with the same id")
	f.BoolVar(&flags.Json, "json", false, "print a JSON array, an object for each line")
	f.BoolVar(&flags.NoSystemCheck, "no-user-check", false, "also enroll people whom this machine does not know")
	return a.Does(c, func(ctx context.Context, args []string) error {
		if err := people.CheckIssuer(flags.Totp.Issuer); err != nil {
			return invocation.Usage("--issuer: %w", err)
		}
		many.File = args[0]
		return people.EnrollCSV(ctx, a, many, flags)
	})
}

// found is a person who was found in a file.
type found struct {
	migrate.Person
	file string
}

// bringAlong imports people and reports each of them. One who fails does not
// keep the others from it.
func bringAlong(ctx context.Context, a *invocation.App, command string, people []found, flags importing) error {
	g, err := a.Gate()
	if err != nil {
		return err
	}
	seen := map[string]string{}
	report := importReport{a: a, settings: g.Config, dry: flags.dryRun, records: []importRecord{}}
	bar := a.Begin("people done", len(people))
	for _, p := range people {
		left, err := 0, p.Err
		if err == nil {
			err = named(a, &p, seen, flags)
		}
		if err == nil {
			p.Replace = flags.replace
			leaveScratch(a, g, &p)
			left, err = bring(ctx, a, g, command, p, flags.dryRun)
		}
		report.add(p, left, err)
		bar.Step()
	}
	a.Clear()
	return report.end(flags.json)
}

// leaveScratch leaves scratch codes behind where they cannot be kept.
func leaveScratch(a *invocation.App, g admin.People, p *found) {
	if n := len(p.Scratch); n > 0 && gate.PlaceOf(g.Config).Away {
		p.Scratch = nil
		a.Note("%s: %s left behind: they have too few digits to be kept in etcd; %s recovery %s makes others", p.User, invocation.Counted(n, "scratch code is", "scratch codes are"), a.Self(), p.User)
	}
}

// named sees to the person's name.
func named(a *invocation.App, p *found, seen map[string]string, flags importing) error {
	if !flags.noSystemCheck {
		name, err := a.SystemName(p.User)
		if err != nil {
			return err
		}
		p.User = name
	}
	if other, twice := seen[p.User]; twice {
		return errors.New("the same person is in " + other + " too, and only that one is taken")
	}
	seen[p.User] = p.file
	return nil
}

func bring(ctx context.Context, a *invocation.App, g admin.People, command string, p found, dry bool) (recoveryLeft int, err error) {
	if dry {
		return len(p.Scratch), g.CheckImport(p.Imported)
	}
	left, err := g.Import(ctx, p.Imported)
	if err == nil {
		invocation.Changed(g, command, auditOf(p))
	}
	return left, err
}
