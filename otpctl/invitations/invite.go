// Package invitations has otpctl's commands about invitations: links by which people
// enroll on a page.
//
// The entry point is [Invite], a command with others below it. A link is mailed, or
// printed if that is asked for, and shown nowhere else.
package invitations

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// flags are those of invite.
type flags struct {
	group, csv, email, id string
	replace, print, json  bool
	noSystemCheck         bool
}

// Invite is otpctl invite.
func Invite(a *invocation.App) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "invite USER... | --group GROUP | --csv FILE",
		Short: "Mail people a link by which they enroll",
		Long: `invite mails each person a link to the page that portal.url of the configuration
names. There the person sets up an app on the phone and gets recovery codes. A link
is good for one device, until that counts or portal.link has passed; a new link ends
the one before.

The link goes to the address in the secret file. --email gives one for somebody who
has none there, and writes it into the file. --print sends nothing and prints the
link, for you to hand over: whoever has it can enroll in that person's name.

Whoever has a device already is invited with --replace, which lets the new one take
its place without a code of it, as for a lost phone. Or to a further device with
--id: then the page asks for a code of one that counts.

With --csv it invites everybody in a file of comma-separated values. Its first line
names the columns: user, and as needed email and id. The form of every line is
checked before anybody is invited.

A failure does not stop the rest. Somebody who is called list, cancel or remind is
invited with --csv or --group.`,
		Example: `  otpctl invite alice
  otpctl invite alice --email alice@example.com
  otpctl invite alice --replace                # a lost phone
  otpctl invite alice --print                  # to hand over
  otpctl invite --group staff
  otpctl invite --csv people.csv
  otpctl invite list
  otpctl invite cancel alice
  otpctl invite remind`,
		Args:              f.args,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	set := c.Flags()
	set.StringVar(&f.group, "group", "", "also everybody in this `group` of the system, primary groups included")
	set.StringVar(&f.csv, "csv", "", "invite everybody in this `file`; - is standard input")
	set.StringVar(&f.email, "email", "", "mail `address` of a person who has none in the secret file")
	set.StringVar(&f.id, "id", "phone", "`name` of the new device")
	set.BoolVar(&f.replace, "replace", false, "replace the device of this name, and ask for no code of it")
	set.BoolVar(&f.print, "print", false, "print the links and send nothing")
	set.BoolVar(&f.json, "json", false, "print a JSON array, an object for each person")
	set.BoolVar(&f.noSystemCheck, "no-user-check", false, "invite also people whom this machine does not know")
	a.Does(c, func(ctx context.Context, args []string) error {
		if err := f.check(c.Flags().Changed, args); err != nil {
			return err
		}
		return run(ctx, a, f, c.Flags().Changed("id"), args)
	})
	c.AddCommand(list(a), cancel(a), remind(a))
	return c
}

// args wants somebody to be named in one of the ways.
func (f *flags) args(c *cobra.Command, args []string) error {
	if c.Flags().Changed("csv") {
		return cobra.NoArgs(c, args)
	}
	if len(args) == 0 && f.group == "" {
		return errors.New("nobody is named")
	}
	return nil
}

// check refuses flags that do not go together.
func (f *flags) check(given func(flag string) bool, args []string) error {
	switch {
	case given("csv") && f.csv == "":
		return invocation.Usage("--csv: expected the name of a file, or - for standard input")
	case given("csv") && (given("email") || given("id") || given("group")):
		return invocation.Usage("--email, --id and --group do not go with --csv, where each line says it")
	case given("email") && (given("group") || len(args) != 1):
		return invocation.Usage("--email is of one person: expected one USER, and no --group")
	case given("email") && account.CheckEmail(f.email) != nil:
		return invocation.Usage("--email %q: %w", f.email, account.CheckEmail(f.email))
	case account.CheckID(f.id) != nil:
		return invocation.Usage("--id %q: %w", f.id, account.CheckID(f.id))
	}
	for _, name := range args {
		if err := account.CheckName(name); err != nil {
			return invocation.UsageError{Err: err}
		}
	}
	return nil
}

// wanted is somebody to invite.
type wanted struct {
	line            int // of the file, 0 without one
	user, email, id string
	further         bool // the id was named, so that it may be a further device
}

func run(ctx context.Context, a *invocation.App, f flags, named bool, args []string) error {
	g, err := a.Gate()
	if err != nil {
		return err
	}
	if err := ready(a, g.Config, f); err != nil {
		return err
	}
	var people []wanted
	if f.csv != "" {
		a.Csv = true
		people, err = readCSV(a, f.csv)
	} else {
		people, err = namedPeople(a, f, named, args)
	}
	if err != nil {
		return err
	}
	in := inviter{App: a, flags: f, g: g, seen: map[string]bool{}, alone: f.csv == "" && f.group == "" && len(args) == 1}
	return in.all(ctx, people)
}

// ready says what is missing in the configuration, before anybody is invited.
func ready(a *invocation.App, settings config.Config, f flags) error {
	switch {
	case settings.Portal == nil:
		return invocation.ErrNoPortal
	case f.print || a.Sender != nil:
		return nil
	case settings.Email == nil:
		return invocation.ErrNoEmail
	}
	return nil
}

// namedPeople are those of the command line, each once.
func namedPeople(a *invocation.App, f flags, named bool, args []string) (people []wanted, err error) {
	names := args
	if f.group != "" {
		listed, err := a.MembersOf(strings.TrimPrefix(f.group, "@")) // as the policy names groups
		if err != nil {
			return nil, err
		}
		if listed.Missing != "" {
			a.Note("group %s: %s", f.group, listed.Missing)
		}
		names = append(append([]string{}, args...), listed.Names...)
	}
	seen := map[string]bool{}
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			people = append(people, wanted{user: name, email: f.email, id: f.id, further: named})
		}
	}
	return people, nil
}
