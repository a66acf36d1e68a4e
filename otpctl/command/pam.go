package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/rollout"
)

func (a *app) pam() *cobra.Command {
	return group(&cobra.Command{
		Use:   "pam COMMAND",
		Short: "Put the module's line into services of pam.d, and take it out",
		Long: `pam changes one file of /etc/pam.d at a time, whole or not at all, and keeps what
it was beside it. Whoever changes how people log in should have a second shell
open, and read docs/roll-out.md.`,
		Example: `  otpctl pam enable sshd
  otpctl pam status`,
	}, a.pamEnable(), a.pamDisable(), a.pamConfirm(), a.pamRestore(), a.pamStatus(), a.pamWatch())
}

// enabling is how pam enable was called.
type enabling struct {
	line          rollout.Line
	within        time.Duration
	dryRun, force bool
}

func (a *app) pamEnable() *cobra.Command {
	var how enabling
	c := &cobra.Command{
		Use:   "enable SERVICE",
		Short: "Ask for codes in a service of pam.d, and undo that unless it is confirmed",
		Long: `enable adds "auth required pam_otpgate.so" to /etc/pam.d/SERVICE, at the first
place behind the password where the doctor has nothing to say of the stack. To a
service of one field, such as vsftpd, it adds two lines, see docs/pam-stacks.md;
--split does that for one that is not known for it, such as xrdp-sesman.

First it shows the change and tries it: the doctor looks at the machine as it
would be, and libpam logs somebody made up in through a private copy of the
service. If either finds a fault, nothing is changed.

What the file was is kept beside it. Where only the distribution has a file, in
/usr/lib/pam.d, a copy in /etc/pam.d gets the line, which counts instead of it.

Unless the change is confirmed with otpctl pam confirm within the time of
--confirm-within, which takes a login with a code through the service since the
change, the file is put back, or the copy removed. A process of its own does
that, which outlives this login; after a reboot the unit otpgate-pam-restore
does, where systemd runs.`,
		Example: `  otpctl pam enable sshd
  otpctl pam enable sudo --dry-run
  otpctl pam enable vsftpd --argument protocol=ftps --confirm-within 10m`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeService,
	}
	f := c.Flags()
	f.StringVar(&how.line.Module, "module", doctor.ModuleName, "`path` of the module, if it is not in libpam's directory")
	f.StringArrayVar(&how.line.Arguments, "argument", nil, "`argument` of the module; may be given again")
	f.DurationVar(&how.within, "confirm-within", 5*time.Minute, "put the file back unless confirmed within this `time`, 10s to 24h; 0s keeps it")
	f.BoolVar(&how.line.Split, "split", false, "the service has one field for password and code, as xrdp and some screen lockers")
	f.BoolVar(&how.dryRun, "dry-run", false, "show and try the change only")
	f.BoolVar(&how.force, "force", false, "change the file although the doctor finds errors elsewhere")
	return a.does(c, func(ctx context.Context, args []string) error {
		if how.within < 0 || how.within > 0 && how.within < 10*time.Second || how.within > 24*time.Hour {
			return usage("--confirm-within %s: expected 10s to 24h, or 0s", how.within)
		}
		return a.runEnable(ctx, args[0], how)
	})
}

func (a *app) runEnable(ctx context.Context, service string, how enabling) error {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	tree := pamstack.Of(a.Machine.Root)
	edit, err := rollout.Plan(tree, settings, service, how.line)
	if err != nil {
		return err
	}
	target, err := a.changer().Find(edit)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, printable(edit.Diff()))
	if err := a.examineEdit(ctx, edit, how.force); err != nil {
		return err
	}
	if err := rollout.DryLogin(tree, settings, edit, a.Authenticate); err != nil {
		return err
	}
	a.say("Dry logins through libpam: the right code gets in, a wrong one and a wrong password do not.")
	if how.dryRun {
		return nil
	}
	return a.put(edit, target, how.within)
}

// examineEdit has the doctor look at the machine as it would be.
func (a *app) examineEdit(ctx context.Context, edit rollout.Edit, force bool) error {
	path, err := a.configPath()
	if err != nil {
		return err
	}
	examined := doctor.Doctor{Machine: a.machine(), Config: path, Services: []string{edit.Service}, Edited: map[string]string{edit.Path: edit.After}}
	findings := examined.Examine(ctx)
	for _, f := range findings {
		a.say("%s", f.String())
	}
	if worst, found := doctor.Worst(findings); found && worst == doctor.Error && !force {
		return errors.New("nothing was changed: with this line the errors above would lock people out or let them in; correct them first, or give --force")
	}
	return nil
}

func (a *app) put(edit rollout.Edit, target rollout.Target, within time.Duration) error {
	if within == 0 {
		backup, err := a.changer().Put(edit, target)
		if err != nil {
			return err
		}
		a.pamChanged("enable", edit.Service, kept(edit, backup))
		a.sayChanged(edit, backup)
		return nil
	}
	start := func() (int, error) {
		args := []string{"--quiet"}
		if a.config != "" {
			args = append(args, "--config", a.config)
		}
		return rollout.StartWatchdog(edit.Service, append(args, "pam", "watch", edit.Service, "--within", within.String())...)
	}
	pending, err := a.changer().PutFor(edit, target, within, start)
	if err != nil {
		return err
	}
	a.pamChanged("enable", edit.Service, kept(edit, pending.Backup)+", until confirmed")
	a.sayChanged(edit, pending.Backup)
	a.say("Now log in through %s once more, with a code, and there run as root: %s pam confirm %s", edit.Service, a.self(), edit.Service)
	a.say("Otherwise the file is put back at %s. Keep this shell open.", when(pending.Deadline))
	return nil
}

// kept says for the audit line where there is what was there before.
func kept(edit rollout.Edit, backup string) string {
	if edit.From != "" {
		return "copied " + edit.From
	}
	return "kept " + backup
}

func (a *app) sayChanged(edit rollout.Edit, backup string) {
	if edit.From != "" {
		a.say("%s is made: a copy of %s with the line, which counts instead of it. %s pam disable %s removes it again.", edit.Path, edit.From, a.self(), edit.Service)
		return
	}
	a.say("%s is changed. What it was is in %s.", edit.Path, backup)
}

// pamChanged writes the audit line of a change of pam.d.
func (a *app) pamChanged(command, service, reason string) {
	a.sink().Write(audit.Record{Service: service, TTY: tty(), Verdict: "changed", Rule: "otpctl pam " + command, Reason: reason + ", by " + whoami()})
}

func (a *app) pamDisable() *cobra.Command {
	dryRun := false
	c := &cobra.Command{
		Use:   "disable SERVICE",
		Short: "Ask for no more codes in a service of pam.d",
		Long: `disable takes exactly those lines out of /etc/pam.d/SERVICE that call the module,
and keeps beside it what the file was. Where lines above jump over one of them, or
to it, pam_permit.so stays in its place, so that their numbers stay true; a
password module behind a line with split asks for the password itself again. It
refuses if the code is all that the service asks for.`,
		Example:           "  otpctl pam disable sshd",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeService,
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show the change only")
	return a.does(c, func(_ context.Context, args []string) error {
		// The configuration may be what is wrong.
		settings := a.settingsOrDefault()
		edit, err := rollout.Remove(pamstack.Of(a.Machine.Root), settings, args[0])
		if err != nil {
			return err
		}
		target, err := a.changer().Find(edit)
		if err != nil {
			return err
		}
		fmt.Fprint(a.out, printable(edit.Diff()))
		if dryRun {
			return nil
		}
		backup, err := a.changer().Put(edit, target)
		if err != nil {
			return err
		}
		a.pamChanged("disable", edit.Service, "kept "+backup)
		if edit.Vendor != "" {
			a.say("%s was a copy of %s, which counts again: it is removed. What it was is in %s.", edit.Path, edit.Vendor, backup)
			return nil
		}
		a.say("%s is changed. What it was is in %s.", edit.Path, backup)
		return nil
	})
}

// completeService offers the services of pam.d for the only SERVICE.
func (a *app) completeService(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeServices(c, args, "")
}

// completeServices offers them for each service.
func (a *app) completeServices(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names, err := pamstack.Of(a.Machine.Root).Services()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
