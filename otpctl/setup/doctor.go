// Package setup has otpctl's commands about the machine's own set-up: the lines in
// pam.d, and the doctor that finds what is wrong.
//
// Each exported function is a command, named as on the command line. What they
// change is put back unless it is confirmed.
package setup

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/remote"
	"github.com/otpgate/otpgate/internal/doctor/sharedledger"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/spelling"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Exit statuses of doctor, beside those of all commands.
const (
	statusWarnings = 3
	statusErrors   = 4
)

// garbage is how much there may be beside what is in use, in percent.
const garbage = 400

// doctorFlags are the flags of otpctl doctor.
type doctorFlags struct {
	services, ignored []string
	json, offline     bool
	to                reporting
}

// Doctor is otpctl doctor.
func Doctor(a *invocation.App) *cobra.Command {
	var flags doctorFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong with the set-up of this machine",
		Long: `doctor looks at what is in force: the stacks in pam.d with their includes and
jumps, sshd's configuration as sshd reads it, the configuration, secret files,
the ledger's disk, the clock and the resident verifier. It changes nothing. For
each finding it says the file and line, what follows, and the fix.

On a client it also asks each server whether it takes logins, and begins none. A
step of that may take two seconds; --offline leaves it out.

With --service it shows that service's stack as logins walk through it: what
each line returns and what comes of it.

What is intended can be excused in /etc/otpgate/doctor.toml, by id, service and
reason: see otpgate-doctor(5). It is shown as excused and does not count.

With --log one line goes to the system's log, and with --metrics the figures go to
a file for Prometheus. The unit otpgate-doctor.service does both, every hour and
after the installation of packages, once otpgate-doctor.timer is enabled.

The exit status is 0 if nothing was found or only notes, 3 if the worst is a
warning, 4 if it is an error: somebody gets in without a code, or everybody is
denied.`,
		Example: `  otpctl doctor
  otpctl doctor --service sshd
  otpctl doctor --json --ignore sshd-key-alone`,
		Args: cobra.NoArgs,
	}
	flags.add(a, c)
	return a.Does(c, func(ctx context.Context, _ []string) error {
		if c.Flags().Changed("metrics") && flags.to.metrics == "" {
			return invocation.Usage("--metrics: expected a file")
		}
		return flags.examine(ctx, a)
	})
}

func (d *doctorFlags) add(a *invocation.App, c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&d.services, "service", nil, "look only at this PAM `service`, and draw its stack; may be given again")
	invocation.CompleteBy(c, "service", a.CompleteServices)
	f.StringArrayVar(&d.ignored, "ignore", nil, "leave out findings of this `id`; may be given again")
	invocation.Complete(c, "ignore", finding.IDs...)
	f.BoolVar(&d.json, "json", false, "print one JSON object")
	f.BoolVar(&d.offline, "offline", false, "ask no server; only a client's doctor speaks with other machines")
	f.BoolVar(&d.to.log, "log", false, "write one line to the system's log too: how many findings, and which")
	f.StringVar(&d.to.metrics, "metrics", "", "write the number of findings to this `file` too, for Prometheus")
}

// examine looks at the machine, and tells of what it finds by its error too.
func (d *doctorFlags) examine(ctx context.Context, a *invocation.App) error {
	if err := checkIDs(d.ignored); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("doctor reads what only root can read: run it as root")
	}
	path, err := a.ConfigPath()
	if err != nil {
		return err
	}
	examined := doctor.Doctor{Machine: machineOf(a), Config: path, Services: d.services, Also: unconfirmed(a)}
	if !d.offline {
		examined.Ask, examined.AskLedger = remote.Servers, sharedledger.Members
		examined.AskFormer, examined.AskPeople = sharedledger.Former, sharedledger.People
	}
	// What is read of very many people is garbage at once. Where as much of it
	// as of what is in use is collected, that takes an eighth of the time.
	defer debug.SetGCPercent(debug.SetGCPercent(garbage))
	findings := examined.Examine(ctx)
	findings = slices.DeleteFunc(findings, func(f finding.Finding) bool { return slices.Contains(d.ignored, f.ID) })
	if err := errors.Join(showDoctor(a, d.services, findings, d.json), report(a, d.to, findings)); err != nil {
		return err
	}
	return statusOf(findings)
}

// machineOf is what is examined, with the commands' clock.
func machineOf(a *invocation.App) target.Machine {
	m := a.Machine
	m.Now, m.Synchronised = a.Now, a.Synchronised
	m.Sending = func(settings config.Config) error {
		if broken, ok := a.SenderFor(settings).(deliver.Broken); ok {
			return broken.Err
		}
		return nil
	}
	return m
}

// unconfirmed are changes of pam.d that nothing will undo any longer.
func unconfirmed(a *invocation.App) []finding.Finding {
	var findings []finding.Finding
	pending, err := a.Changer().Pending()
	if err != nil {
		findings = append(findings, finding.Finding{Severity: finding.Warning, ID: "change-unconfirmed", What: err.Error() + "."})
	}
	for _, p := range pending {
		if f, found := p.Finding(); found {
			findings = append(findings, f)
		}
	}
	return findings
}

// checkIDs refuses ids that no finding has: such a one ignores nothing.
func checkIDs(ignored []string) error {
	for _, id := range ignored {
		if slices.Contains(finding.IDs, id) {
			continue
		}
		if near, found := spelling.Near(id, finding.IDs); found {
			return invocation.Usage("--ignore %q: no finding has this id; did you mean %s?", id, near)
		}
		return invocation.Usage("--ignore %q: no finding has this id; expected one that doctor shows", id)
	}
	return nil
}

func statusOf(findings []finding.Finding) error {
	worst, found := finding.Worst(findings)
	switch {
	case !found || worst == finding.Note:
		return nil
	case worst == finding.Warning:
		return invocation.FoundStatus(statusWarnings)
	}
	return invocation.FoundStatus(statusErrors)
}

func showDoctor(a *invocation.App, services []string, findings []finding.Finding, asJSON bool) error {
	if asJSON {
		if findings == nil {
			findings = []finding.Finding{}
		}
		return a.JSON(map[string]any{"findings": findings})
	}
	for _, service := range services {
		stack, err := authstack.Load(pamstack.Of(a.Machine.Root), service, a.SettingsOrDefault())
		if err != nil || stack.File == "" {
			continue // there is a finding that says so
		}
		if err := authstack.Draw(a.Out, stack, invocation.IsTerminal(a.Stdout) && invocation.MayColour()); err != nil {
			return err
		}
		a.Say("")
	}
	for _, f := range findings {
		a.Say("%s", f.String())
	}
	if len(findings) == 0 {
		a.Say("Nothing was found.")
	}
	return nil
}
