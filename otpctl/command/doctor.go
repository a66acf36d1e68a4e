package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/rollout"
)

// Exit statuses of doctor, beside those of all commands.
const (
	statusWarnings = 3
	statusErrors   = 4
)

// foundStatus is the exit status of a command that did what it was asked and
// found something.
type foundStatus int

func (f foundStatus) Error() string { return fmt.Sprintf("status %d", int(f)) }

func (a *app) doctor() *cobra.Command {
	var services, ignored []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find what is wrong with the set-up of this machine",
		Long: `doctor looks at what is in force: the stacks in pam.d with their includes and
jumps, sshd's configuration as sshd reads it, the configuration, secret files,
the ledger's disk, the clock and the resident verifier. It changes nothing. For
each finding it says the file and line, what follows, and the fix.

With --service it shows that service's stack as logins walk through it: what
each line returns and what comes of it.

The exit status is 0 if nothing was found or only notes, 3 if the worst is a
warning, 4 if it is an error: somebody gets in without a code, or everybody is
denied.`,
		Example: `  otpctl doctor
  otpctl doctor --service sshd
  otpctl doctor --json --ignore sshd-key-alone`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringArrayVar(&services, "service", nil, "look only at this PAM `service`, and draw its stack; may be given again")
	completeBy(c, "service", a.completeServices)
	f.StringArrayVar(&ignored, "ignore", nil, "leave out findings of this `id`; may be given again")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.does(c, func(ctx context.Context, _ []string) error {
		if os.Geteuid() != 0 {
			return errors.New("doctor reads what only root can read: run it as root")
		}
		path, err := a.configPath()
		if err != nil {
			return err
		}
		findings := doctor.Doctor{Machine: a.machine(), Config: path, Services: services}.Examine(ctx)
		findings = append(findings, a.unconfirmed()...)
		doctor.Sort(findings)
		findings = slices.DeleteFunc(findings, func(f doctor.Finding) bool { return slices.Contains(ignored, f.ID) })
		if err := a.showDoctor(services, findings, asJSON); err != nil {
			return err
		}
		return statusOf(findings)
	})
}

// machine is what is examined, with the commands' clock.
func (a *app) machine() doctor.Machine {
	m := a.Machine
	m.Now, m.Synchronised = a.Now, a.Synchronised
	m.Sending = func(settings config.Config) error {
		if broken, is := a.sender(settings).(deliver.Broken); is {
			return broken.Err
		}
		return nil
	}
	return m
}

// unconfirmed are changes of pam.d that nothing will undo any longer.
func (a *app) unconfirmed() []doctor.Finding {
	var findings []doctor.Finding
	pending, err := a.changer().Pending()
	if err != nil {
		findings = append(findings, doctor.Finding{Severity: doctor.Warning, ID: "change-unconfirmed", What: err.Error() + "."})
	}
	for _, p := range pending {
		if f, found := p.Finding(); found {
			findings = append(findings, f)
		}
	}
	return findings
}

func (a *app) changer() rollout.Changer { return rollout.Changer{Root: a.Machine.Root, Now: a.Now} }

func statusOf(findings []doctor.Finding) error {
	worst, found := doctor.Worst(findings)
	switch {
	case !found || worst == doctor.Note:
		return nil
	case worst == doctor.Warning:
		return foundStatus(statusWarnings)
	}
	return foundStatus(statusErrors)
}

func (a *app) showDoctor(services []string, findings []doctor.Finding, asJSON bool) error {
	if asJSON {
		if findings == nil {
			findings = []doctor.Finding{}
		}
		return a.json(map[string]any{"findings": findings})
	}
	for _, service := range services {
		stack, err := doctor.Load(pamstack.Of(a.Machine.Root), service, a.settingsOrDefault())
		if err != nil {
			continue // there is a finding that says so
		}
		if err := doctor.Draw(a.out, stack, isTerminal(a.Stdout) && mayColour()); err != nil {
			return err
		}
		a.say("")
	}
	for _, f := range findings {
		a.say("%s", f.String())
	}
	if len(findings) == 0 {
		a.say("Nothing was found.")
	}
	return nil
}

// settings are the configuration that logins have.
func (a *app) settings() (config.Config, error) {
	path, err := a.configPath()
	if err != nil {
		return config.Config{}, err
	}
	if a.Machine.Root != "" && path == "" {
		if path = a.Machine.Root + config.DefaultPath; !isFile(path) {
			return config.Default(), nil
		}
	}
	return config.Load(path)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// settingsOrDefault are for what must work while the configuration is wrong.
func (a *app) settingsOrDefault() config.Config {
	settings, err := a.settings()
	if err != nil {
		return config.Default()
	}
	return settings
}
