package setup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/remote"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/rollout"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// PAM is otpctl pam.
func PAM(a *invocation.App) *cobra.Command {
	return invocation.Group(&cobra.Command{
		Use:   "pam COMMAND",
		Short: "Put the module's line into services of pam.d, or take it out",
		Long: `pam changes one file of /etc/pam.d at a time, completely or not at all, and keeps
the old one beside it. Keep a second root shell open while you change how people
log in, and read docs/roll-out.md.`,
		Example: `  otpctl pam enable sshd
  otpctl pam status`,
	}, pamEnable(a), pamDisable(a), pamConfirm(a), pamRestore(a), pamStatus(a), pamWatch(a))
}

// enabling is how pam enable was called.
type enabling struct {
	line          rollout.Line
	within        time.Duration
	dryRun, force bool
}

func pamEnable(a *invocation.App) *cobra.Command {
	var how enabling
	c := &cobra.Command{
		Use:   "enable SERVICE",
		Short: "Ask for codes in a service of pam.d, and undo that unless it is confirmed",
		Long: `enable adds "auth required pam_otpgate.so" to /etc/pam.d/SERVICE, at the first
place after the password where the doctor finds nothing wrong with the stack. To
a service with one field, such as vsftpd, it adds two lines: see
docs/pam-stacks.md. Use --split for a service with one field that enable does not
know, such as a screen locker. Where the service includes a password stage after
which strangers would see the prompt too, such as RHEL's password-auth, the lines
of that stage are written into SERVICE instead, so that a wrong password ends the
login before that.

First it shows the change and tries it: the doctor looks at the machine as it
would be, and libpam logs a made-up person in through a private copy of the
service. If either finds a fault, nothing is changed; --force overrules the
doctor's warnings, and its errors about the rest of the machine. The old file is kept beside
the new one. If the only file is the distribution's, in /usr/lib/pam.d, a copy in
/etc/pam.d gets the line and counts instead: updates of that file then reach nobody.

Then log in through the service with a code, and run otpctl pam confirm within
the time of --confirm-within. Otherwise the file is put back, or the copy
removed: by a separate process, which outlives this login, or after a reboot by
the unit otpgate-pam-restore, where systemd runs.`,
		Example: `  otpctl pam enable sshd
  otpctl pam enable sudo --dry-run
  otpctl pam enable vsftpd --argument protocol=ftps --confirm-within 10m`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeService(a),
	}
	f := c.Flags()
	f.StringVar(&how.line.Module, "module", authstack.ModuleName, "`path` of the module, if it is not in libpam's directory")
	f.StringArrayVar(&how.line.Arguments, "argument", nil, "`argument` of the module; may be given again")
	f.DurationVar(&how.within, "confirm-within", 5*time.Minute, "put the file back unless confirmed within this `time`, 10s to 24h; 0s keeps it")
	f.BoolVar(&how.line.Split, "split", false, "the service has one field for password and code, as xrdp and some screen lockers")
	f.BoolVar(&how.dryRun, "dry-run", false, "show and try the change only")
	f.BoolVar(&how.force, "force", false, "change the file although the doctor finds errors elsewhere, or warns of the line")
	return a.Does(c, func(ctx context.Context, args []string) error {
		if how.within < 0 || how.within > 0 && how.within < 10*time.Second || how.within > 24*time.Hour {
			return invocation.Usage("--confirm-within %s: expected 10s to 24h, or 0s", how.within)
		}
		return runEnable(ctx, a, args[0], how)
	})
}

func runEnable(ctx context.Context, a *invocation.App, service string, how enabling) error {
	settings, err := a.Settings()
	if err != nil {
		return err
	}
	tree := pamstack.Of(a.Machine.Root)
	edit, err := rollout.Plan(tree, settings, service, how.line)
	if err != nil {
		return err
	}
	target, err := a.Changer().Find(edit)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.Out, invocation.Printable(edit.Diff()))
	if err := examineEdit(ctx, a, edit, how.force); err != nil {
		return err
	}
	if err := rollout.DryLogin(tree, settings, edit, a.Authenticate); err != nil {
		return err
	}
	a.Say("Dry logins through libpam: the right code gets in, a wrong one and a wrong password do not.")
	if how.dryRun {
		return nil
	}
	return put(a, edit, target, how.within)
}

// examineEdit has the doctor look at the machine as it would be.
func examineEdit(ctx context.Context, a *invocation.App, edit rollout.Edit, force bool) error {
	path, err := a.ConfigPath()
	if err != nil {
		return err
	}
	examined := doctor.Doctor{Machine: machineOf(a), Config: path, Services: []string{edit.Service}, Edited: map[string]string{edit.Path: edit.After}, Ask: remote.Servers}
	findings := examined.Examine(ctx)
	for _, f := range findings {
		a.Say("%s", f.String())
	}
	if worst, found := finding.Worst(findings); found && worst == finding.Error && !force {
		return errors.New("nothing was changed: with this line the errors above would lock people out or let them in; correct them first, or give --force")
	}
	if force {
		return nil
	}
	return warned(edit)
}

// warned refuses a stack that the doctor would warn of ever after.
func warned(edit rollout.Edit) error {
	var texts []string
	for _, f := range edit.Findings {
		if f.Severity == finding.Warning {
			texts = append(texts, fmt.Sprintf("%s (%s)", f.What, f.ID))
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return fmt.Errorf("nothing was changed: at its best place in %s the doctor would warn of the line: %s Correct that first, or give --force", edit.Path, strings.Join(texts, " "))
}

func put(a *invocation.App, edit rollout.Edit, target rollout.Target, within time.Duration) error {
	if within == 0 {
		backup, err := a.Changer().Put(edit, target)
		if err != nil {
			return err
		}
		pamChanged(a, "enable", edit.Service, kept(edit, backup))
		sayChanged(a, edit, backup)
		return nil
	}
	start := func() (int, error) {
		args := []string{"--quiet"}
		if a.Config != "" {
			args = append(args, "--config", a.Config)
		}
		return rollout.StartWatchdog(edit.Service, append(args, "pam", "watch", edit.Service, "--within", within.String())...)
	}
	pending, err := a.Changer().PutFor(edit, target, within, start)
	if err != nil {
		return err
	}
	pamChanged(a, "enable", edit.Service, kept(edit, pending.Backup)+", until confirmed")
	sayChanged(a, edit, pending.Backup)
	a.Say("Now log in through %s once more, with a code, and there run as root: %s pam confirm %s", edit.Service, a.Self(), edit.Service)
	a.Say("Otherwise the file is put back at %s. Keep this shell open.", invocation.When(pending.Deadline))
	return nil
}

// kept says for the audit line where there is what was there before.
func kept(edit rollout.Edit, backup string) string {
	if edit.From != "" {
		return "copied " + edit.From
	}
	return "kept " + backup
}

func sayChanged(a *invocation.App, edit rollout.Edit, backup string) {
	if edit.From != "" {
		sayWritten(a, edit)
		a.Say("%s is made: a copy of %s with the line. The copy counts instead, so updates of that file reach nobody until %s pam disable %s removes it.", edit.Path, edit.From, a.Self(), edit.Service)
		return
	}
	sayWritten(a, edit)
	a.Say("%s is changed. The old file is %s.", edit.Path, backup)
}

// sayWritten says what it means that an include was written out.
func sayWritten(a *invocation.App, edit rollout.Edit) {
	if authstack.TakenBack(edit.After) != edit.After {
		a.Say("%s has the password stage written out, so later changes to the file that it included do not reach it. After such a change (authselect): %s pam disable %s, then %s pam enable %s.",
			edit.Path, a.Self(), edit.Service, a.Self(), edit.Service)
	}
}

// pamChanged writes the audit line of a change of pam.d.
func pamChanged(a *invocation.App, command, service, reason string) {
	a.Sink().Write(audit.Record{Service: service, TTY: invocation.Tty(), Verdict: "changed", Rule: "otpctl pam " + command, Reason: reason + ", by " + invocation.Whoami()})
}

func pamDisable(a *invocation.App) *cobra.Command {
	dryRun := false
	c := &cobra.Command{
		Use:   "disable SERVICE",
		Short: "Stop asking for codes in a service of pam.d",
		Long: `disable takes exactly the lines out of /etc/pam.d/SERVICE that call the module,
and keeps the old file beside it. Where lines above jump over such a line or to
it, pam_permit.so takes its place, so that their numbers stay right. A password
module after a line with split asks for the password itself again. disable refuses
if the service asks for nothing but the code. An include that enable wrote out is
put back.`,
		Example:           "  otpctl pam disable sshd",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeService(a),
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show the change only")
	return a.Does(c, func(_ context.Context, args []string) error {
		// The configuration may be what is wrong.
		settings := a.SettingsOrDefault()
		edit, err := rollout.Remove(pamstack.Of(a.Machine.Root), settings, args[0])
		if err != nil {
			return err
		}
		target, err := a.Changer().Find(edit)
		if err != nil {
			return err
		}
		fmt.Fprint(a.Out, invocation.Printable(edit.Diff()))
		if dryRun {
			return nil
		}
		backup, err := a.Changer().Put(edit, target)
		if err != nil {
			return err
		}
		pamChanged(a, "disable", edit.Service, "kept "+backup)
		if edit.Vendor != "" {
			a.Say("%s was a copy of %s, which counts again: it is removed. The old file is %s.", edit.Path, edit.Vendor, backup)
			return nil
		}
		a.Say("%s is changed. The old file is %s.", edit.Path, backup)
		return nil
	})
}

// completeService offers the services of pam.d for the only SERVICE.
func completeService(a *invocation.App) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.CompleteServices(c, args, "")
	}
}
