package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/rollout"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

func pamConfirm(a *invocation.App) *cobra.Command {
	untried := false
	c := &cobra.Command{
		Use:   "confirm [SERVICE]",
		Short: "Keep a change of pam.d that would otherwise be undone",
		Long: `confirm keeps what otpctl pam enable changed: in SERVICE, or in all services that
wait. To show that people still get in, somebody must have logged in through that
service with a code since the change; the ledger knows. It does not matter in
which shell you run confirm.

Where nobody is asked for a code yet, log in through the service, and use
--untried.`,
		Example:           "  otpctl pam confirm sshd",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completePending(a),
	}
	c.Flags().BoolVar(&untried, "untried", false, "keep it although nobody has logged in with a code since")
	return a.Does(c, func(ctx context.Context, args []string) error {
		services, err := pendingServices(a, args)
		if err != nil {
			return err
		}
		for _, service := range services {
			tried := func(p rollout.Pending) error { return tried(ctx, a, p) }
			how := "the change stays"
			if untried {
				tried, how = func(rollout.Pending) error { return nil }, "the change stays, untried"
			}
			if err := a.Changer().Confirm(service, tried); err != nil {
				return err
			}
			pamChanged(a, "confirm", service, how)
			a.Say("%s: the change stays.", service)
		}
		return nil
	})
}

// completePending offers the services with a change that waits.
func completePending(a *invocation.App) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var services []string
		if len(args) == 0 {
			// Without any there is nothing to offer, whatever the reason.
			services, _ = pendingServices(a, nil)
		}
		return services, cobra.ShellCompDirectiveNoFileComp
	}
}

// pendingServices are those named, or all with a change that waits.
func pendingServices(a *invocation.App, args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	pending, err := a.Changer().Pending()
	if err != nil {
		return nil, err
	}
	var services []string
	for _, p := range pending {
		services = append(services, p.Service)
	}
	if len(services) == 0 {
		return nil, rollout.ErrNothingPending
	}
	return services, nil
}

func pamRestore(a *invocation.App) *cobra.Command {
	overdue, wait := false, false
	c := &cobra.Command{
		Use:   "restore [SERVICE]",
		Short: "Undo a change of pam.d that has not been confirmed",
		Long: `restore puts back at once what otpctl pam enable changed and nobody has confirmed:
in SERVICE, or in all services. If the file was changed since, that version is
kept beside it.

With --overdue it does so only where the time is over and the process that should
have done it is gone, as after a reboot. With --wait too, it then waits for
the others, until each is confirmed or its time is over. The unit
otpgate-pam-restore does both when the machine starts.`,
		Example:           "  otpctl pam restore sshd\n  otpctl pam restore --overdue",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completePending(a),
	}
	c.Flags().BoolVar(&overdue, "overdue", false, "only where the time is over and the process for it is gone")
	c.Flags().BoolVar(&wait, "wait", false, "with --overdue: wait until none is left whose time is not over yet")
	return a.Does(c, func(_ context.Context, args []string) error {
		switch {
		case wait && !overdue:
			return invocation.Usage("--wait goes with --overdue")
		case overdue && len(args) > 0:
			return invocation.Usage("--overdue is about all services: name none")
		case overdue:
			return restoreOverdue(a, wait)
		}
		services, err := pendingServices(a, args)
		for _, service := range services {
			err = errors.Join(err, restore(a, service))
		}
		return err
	})
}

func restore(a *invocation.App, service string) error {
	p, kept, err := a.Changer().Restore(service)
	if err == nil {
		restored(a, p, kept)
	}
	return err
}

// restoreOverdue undoes what nothing else undoes any longer, and if it is to
// wait, what is not due yet when it is. A change that fails keeps no other.
func restoreOverdue(a *invocation.App, wait bool) error {
	pending, err := a.Changer().Pending()
	var waiting []rollout.Pending
	for _, p := range pending {
		switch left := p.Left(a.Now()); {
		case p.Alive():
		case left == 0:
			err = errors.Join(err, unlessDone(restore(a, p.Service)))
		case wait:
			waiting = append(waiting, p)
		}
	}
	return errors.Join(err, watchAll(a, waiting))
}

// watchAll watches several changes at once, for one may take an hour to undo.
func watchAll(a *invocation.App, waiting []rollout.Pending) error {
	var failed error
	var reports sync.Mutex
	var watches sync.WaitGroup
	for _, p := range waiting {
		left := p.Left(a.Now())
		watches.Go(func() {
			_, err := a.Changer().TakeOver(p.Service)
			kept, undone := "", false
			if err == nil {
				p, kept, undone, err = a.Changer().Watch(p.Service, left, time.Second)
			}
			reports.Lock()
			defer reports.Unlock()
			failed = errors.Join(failed, watched(a, p.Service, p, kept, undone, unlessDone(err)))
		})
	}
	watches.Wait()
	return failed
}

// unlessDone is no error where somebody confirmed or undid the change meanwhile.
func unlessDone(err error) error {
	if errors.Is(err, rollout.ErrNothingPending) {
		return nil
	}
	return err
}

func restored(a *invocation.App, p rollout.Pending, kept string) {
	switch {
	case p.From != "":
		pamChanged(a, "restore", p.Service, "removed the copy of "+p.From)
		a.Say("%s is removed: %s counts again, as before.", p.Path, p.From)
	case p.Backup == "":
		pamChanged(a, "restore", p.Service, "took the line out; the file that it was copied from is gone")
		a.Say("%s stays, without the line: the distribution's file that it was copied from is gone.", p.Path)
	default:
		pamChanged(a, "restore", p.Service, "put back "+p.Backup)
		a.Say("%s is as it was before (%s).", p.Path, p.Backup)
	}
	if kept != "" {
		a.Say("It had been changed since; that version is %s.", kept)
	}
}

// pamWatch is what pam enable starts.
func pamWatch(a *invocation.App) *cobra.Command {
	var within time.Duration
	c := &cobra.Command{
		Use:    "watch SERVICE",
		Short:  "Wait until a change is confirmed, or undo it",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
	}
	c.Flags().DurationVar(&within, "within", 0, "how long to wait")
	return a.Does(c, func(_ context.Context, args []string) error {
		p, kept, undone, err := a.Changer().Watch(args[0], within, time.Second)
		return watched(a, args[0], p, kept, undone, err)
	})
}

// watched tells what became of a change that was watched.
func watched(a *invocation.App, service string, p rollout.Pending, kept string, undone bool, err error) error {
	switch {
	case err != nil:
		pamChanged(a, "watch", service, "the change could not be undone: "+err.Error())
	case undone:
		restored(a, p, kept)
	}
	return err
}

// pamService is a service that asks for codes, or waits to be confirmed.
type pamService struct {
	Service  string           `json:"service"`
	File     string           `json:"file,omitempty"`
	Lines    []string         `json:"lines,omitempty"`
	Protocol config.Protocol  `json:"protocol,omitempty"`
	Pending  *rollout.Pending `json:"pending,omitempty"`
}

func pamStatus(a *invocation.App) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:     "status",
		Short:   "List the services of pam.d that call the module",
		Example: "  otpctl pam status",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return a.Does(c, func(context.Context, []string) error {
		services, err := pamServices(a)
		if err != nil {
			return err
		}
		if asJSON {
			return a.JSON(services)
		}
		return showServices(a, services)
	})
}

func pamServices(a *invocation.App) ([]pamService, error) {
	tree := pamstack.Of(a.Machine.Root)
	names, err := tree.Services()
	if err != nil {
		return nil, err
	}
	pending, err := a.Changer().Pending()
	if err != nil {
		return nil, err
	}
	services := []pamService{}
	for _, name := range names {
		stack, err := authstack.Load(tree, name, a.SettingsOrDefault())
		if err != nil || authstack.IsCopy(name) {
			continue
		}
		s := pamService{Service: name, File: stack.File, Protocol: stack.Protocol}
		for _, line := range stack.Lines {
			if authstack.Ours(line) {
				s.Lines = append(s.Lines, line.Position.String())
			}
		}
		for _, p := range pending {
			// su-l has its line from su's file, and loses it with that.
			changed := func(line pamstack.Line) bool { return authstack.Ours(line) && line.Position.File == p.Path }
			if p.Service == name || slices.ContainsFunc(stack.Lines, changed) {
				s.Pending = &p
			}
		}
		if len(s.Lines) > 0 || s.Pending != nil {
			services = append(services, s)
		}
	}
	return services, nil
}

func showServices(a *invocation.App, services []pamService) error {
	if len(services) == 0 {
		a.Say("No service asks for codes.")
		return nil
	}
	now := a.Changer().Now()
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tPROTOCOL\tLINE\tSTATE")
	for _, s := range services {
		protocol, line := "-", "-"
		if s.Protocol != "" {
			protocol = string(s.Protocol)
		}
		if len(s.Lines) > 0 {
			line = s.Lines[0]
		}
		fmt.Fprintln(table, invocation.Printable(fmt.Sprintf("%s\t%s\t%s\t%s", s.Service, protocol, line, stateOf(s.Pending, now))))
	}
	return table.Flush()
}

func stateOf(p *rollout.Pending, now time.Time) string {
	switch {
	case p == nil:
		return "in force"
	case p.Alive() && now.Before(p.Changed):
		// By this clock the deadline may be months away; what waits counts by its own.
		return "put back within " + p.Left(now).String() + " unless confirmed; the clock is behind: it says " + invocation.When(now) + ", and the change was made at " + invocation.When(p.Changed)
	case p.Alive():
		return "put back at " + invocation.When(p.Deadline) + " unless confirmed"
	}
	return "not confirmed, and nothing puts it back: confirm or restore it"
}
