package command

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
	"github.com/otpgate/otpgate/internal/doctor"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/rollout"
)

func (a *app) pamConfirm() *cobra.Command {
	untried := false
	c := &cobra.Command{
		Use:   "confirm [SERVICE]",
		Short: "Keep a change of pam.d that would be undone otherwise",
		Long: `confirm keeps what otpctl pam enable changed: in the SERVICE, or in all that wait
for it. It wants somebody to have logged in through that service with a code since
the change, which the ledger knows: that shows that people still get in. From
which login it is run does not matter.

Where nobody is asked for a code yet no such login can be. --untried keeps the
change all the same; log in through the service before you give it.`,
		Example:           "  otpctl pam confirm sshd",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completePending,
	}
	c.Flags().BoolVar(&untried, "untried", false, "keep it although nobody has logged in with a code since")
	return a.does(c, func(ctx context.Context, args []string) error {
		services, err := a.pendingServices(args)
		if err != nil {
			return err
		}
		for _, service := range services {
			tried := func(p rollout.Pending) error { return a.tried(ctx, p) }
			how := "the change stays"
			if untried {
				tried, how = func(rollout.Pending) error { return nil }, "the change stays, untried"
			}
			if err := a.changer().Confirm(service, tried); err != nil {
				return err
			}
			a.pamChanged("confirm", service, how)
			a.say("%s: the change stays.", service)
		}
		return nil
	})
}

// completePending offers the services with a change that waits.
func (a *app) completePending(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var services []string
	if len(args) == 0 {
		// Without any there is nothing to offer, whatever the reason.
		services, _ = a.pendingServices(nil)
	}
	return services, cobra.ShellCompDirectiveNoFileComp
}

// pendingServices are those named, or all with a change that waits.
func (a *app) pendingServices(args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	pending, err := a.changer().Pending()
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

func (a *app) pamRestore() *cobra.Command {
	overdue, wait := false, false
	c := &cobra.Command{
		Use:   "restore [SERVICE]",
		Short: "Undo a change of pam.d that has not been confirmed",
		Long: `restore puts back now what otpctl pam enable changed and nobody has confirmed: in
the SERVICE, or in all. If the file has been changed since, that is kept beside.

With --overdue it does so only where the time is over and the process is gone
that should have done it, as after a reboot. With --wait too it then waits for
the others, until each is confirmed or its time is over. The unit
otpgate-pam-restore does both when the machine starts.`,
		Example:           "  otpctl pam restore sshd\n  otpctl pam restore --overdue",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completePending,
	}
	c.Flags().BoolVar(&overdue, "overdue", false, "only where the time is over and nothing is left to do it")
	c.Flags().BoolVar(&wait, "wait", false, "with --overdue: wait until none is left whose time is not over yet")
	return a.does(c, func(_ context.Context, args []string) error {
		switch {
		case wait && !overdue:
			return usage("--wait goes with --overdue")
		case overdue && len(args) > 0:
			return usage("--overdue is about all services: name none")
		case overdue:
			return a.restoreOverdue(wait)
		}
		services, err := a.pendingServices(args)
		for _, service := range services {
			err = errors.Join(err, a.restore(service))
		}
		return err
	})
}

func (a *app) restore(service string) error {
	p, kept, err := a.changer().Restore(service)
	if err == nil {
		a.restored(p, kept)
	}
	return err
}

// restoreOverdue undoes what nothing else undoes any longer, and if it is to
// wait, what is not due yet when it is. A change that fails keeps no other.
func (a *app) restoreOverdue(wait bool) error {
	pending, err := a.changer().Pending()
	var waiting []rollout.Pending
	for _, p := range pending {
		switch left := p.Left(a.Now()); {
		case p.Alive():
		case left == 0:
			err = errors.Join(err, a.restore(p.Service))
		case wait:
			waiting = append(waiting, p)
		}
	}
	return errors.Join(err, a.watchAll(waiting))
}

// watchAll watches several changes at once, for one may take an hour to undo.
func (a *app) watchAll(waiting []rollout.Pending) error {
	var failed error
	var reports sync.Mutex
	var watches sync.WaitGroup
	for _, p := range waiting {
		left := p.Left(a.Now())
		watches.Go(func() {
			_, err := a.changer().TakeOver(p.Service)
			kept, undone := "", false
			if err == nil {
				p, kept, undone, err = a.changer().Watch(p.Service, left, time.Second)
			}
			reports.Lock()
			defer reports.Unlock()
			failed = errors.Join(failed, a.watched(p.Service, p, kept, undone, err))
		})
	}
	watches.Wait()
	return failed
}

func (a *app) restored(p rollout.Pending, kept string) {
	switch {
	case p.From != "":
		a.pamChanged("restore", p.Service, "removed the copy of "+p.From)
		a.say("%s is removed: %s counts again, as before.", p.Path, p.From)
	case p.Backup == "":
		a.pamChanged("restore", p.Service, "took the line out; the file that it was copied from is gone")
		a.say("%s stays, without the line: the distribution's file that it was copied from is gone.", p.Path)
	default:
		a.pamChanged("restore", p.Service, "put back "+p.Backup)
		a.say("%s is as it was before (%s).", p.Path, p.Backup)
	}
	if kept != "" {
		a.say("It had been changed since; that is in %s.", kept)
	}
}

// pamWatch is what pam enable starts.
func (a *app) pamWatch() *cobra.Command {
	var within time.Duration
	c := &cobra.Command{
		Use:    "watch SERVICE",
		Short:  "Wait until a change is confirmed, or undo it",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
	}
	c.Flags().DurationVar(&within, "within", 0, "how long to wait")
	return a.does(c, func(_ context.Context, args []string) error {
		p, kept, undone, err := a.changer().Watch(args[0], within, time.Second)
		return a.watched(args[0], p, kept, undone, err)
	})
}

// watched tells what became of a change that was watched.
func (a *app) watched(service string, p rollout.Pending, kept string, undone bool, err error) error {
	switch {
	case err != nil:
		a.pamChanged("watch", service, "the change could not be undone: "+err.Error())
	case undone:
		a.restored(p, kept)
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

func (a *app) pamStatus() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:     "status",
		Short:   "List the services of pam.d that call the module",
		Example: "  otpctl pam status",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return a.does(c, func(context.Context, []string) error {
		services, err := a.pamServices()
		if err != nil {
			return err
		}
		if asJSON {
			return a.json(services)
		}
		return a.showServices(services)
	})
}

func (a *app) pamServices() ([]pamService, error) {
	tree := pamstack.Of(a.Machine.Root)
	names, err := tree.Services()
	if err != nil {
		return nil, err
	}
	pending, err := a.changer().Pending()
	if err != nil {
		return nil, err
	}
	services := []pamService{}
	for _, name := range names {
		stack, err := doctor.Load(tree, name, a.settingsOrDefault())
		if err != nil || doctor.IsCopy(name) {
			continue
		}
		s := pamService{Service: name, File: stack.File, Protocol: stack.Protocol}
		for _, line := range stack.Lines {
			if doctor.Ours(line) {
				s.Lines = append(s.Lines, line.Place.String())
			}
		}
		for _, p := range pending {
			// su-l has its line from su's file, and loses it with that.
			changed := func(line pamstack.Line) bool { return doctor.Ours(line) && line.Place.File == p.Path }
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

func (a *app) showServices(services []pamService) error {
	if len(services) == 0 {
		a.say("No service asks for codes.")
		return nil
	}
	now := a.changer().Now()
	table := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tPROTOCOL\tLINE\tSTATE")
	for _, s := range services {
		protocol, line := "-", "-"
		if s.Protocol != "" {
			protocol = string(s.Protocol)
		}
		if len(s.Lines) > 0 {
			line = s.Lines[0]
		}
		fmt.Fprintln(table, printable(fmt.Sprintf("%s\t%s\t%s\t%s", s.Service, protocol, line, stateOf(s.Pending, now))))
	}
	return table.Flush()
}

func stateOf(p *rollout.Pending, now time.Time) string {
	switch {
	case p == nil:
		return "in force"
	case p.Alive() && now.Before(p.Changed):
		// By this clock the deadline may be months away; what waits counts by its own.
		return "put back within " + p.Left(now).String() + " unless confirmed; the clock is behind: it says " + when(now) + ", and the change was made at " + when(p.Changed)
	case p.Alive():
		return "put back at " + when(p.Deadline) + " unless confirmed"
	}
	return "not confirmed, and nothing puts it back: confirm or restore it"
}
