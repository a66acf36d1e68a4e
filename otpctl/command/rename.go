package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
)

// errStillThere is wrapped by the error for a former name that is an account.
var errStillThere = errors.New("it still is an account of this machine")

func (a *app) rename() *cobra.Command {
	var noSystemCheck bool
	c := &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Follow a login name that was changed",
		Long: `rename gives the secret file of the name OLD to the name NEW, after usermod -l.
Until that is done nothing is asked of NEW, unless the policy requires it: so run
it at once. Codes that were used stay used, recovery codes stay good, wrong codes
go on counting. Remembered logins end, and so do codes that are on their way.
Nothing of it is good under the name OLD again, also if the file comes back.

Killed at any point it leaves NEW refused, and the same command goes on. It also
finishes what was begun by hand: a file that was moved, or whose user was edited.

OLD must not be an account any more; of two names of one uid the file may go to
the first.`,
		Example:           `  usermod -l alicia alice && otpctl rename alice alicia`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeUser,
	}
	c.Flags().BoolVar(&noSystemCheck, "no-user-check", false, "also to a name that this machine does not know")
	return a.does(c, func(ctx context.Context, args []string) error {
		return a.runRename(ctx, args[0], args[1], noSystemCheck)
	})
}

func (a *app) runRename(ctx context.Context, from, to string, noSystemCheck bool) error {
	for _, name := range []string{from, to} {
		if err := account.CheckName(name); err != nil {
			return usageError{err}
		}
	}
	if from == to {
		return usage("expected two names, found %s twice", from)
	}
	g, err := a.gate()
	if err != nil {
		return err
	}
	if !noSystemCheck {
		if to, err = a.systemName(to); err != nil {
			return err
		}
		if err := a.isFree(from, to); err != nil {
			return err
		}
	}
	done, err := g.Rename(ctx, from, to)
	if err != nil {
		return err
	}
	changed(g, "rename", audit.Record{User: to, Reason: "was " + from})
	a.say("%s is %s now: %s, %s left.", from, to, counted(len(done.Person.Factors), "device", "devices"),
		counted(done.RecoveryLeft, "recovery code", "recovery codes"))
	a.remarkOnFormer(g.Config.Policy, from, to)
	if done.RecoveryLeft == 0 && (factor.HasOwnRecovery(done.Person) || factor.HasScratch(done.Person)) {
		a.note("no recovery code is left: %s recovery %s makes new ones", a.self(), to)
	}
	return nil
}

// isFree refuses to take the file from a name that somebody logs in by: he would
// not be asked any more.
func (a *app) isFree(from, to string) error {
	former, found, err := a.Logins.ByName(from)
	if err != nil || !found {
		return err
	}
	now, known, err := a.Logins.ByName(to)
	if err != nil {
		return err
	}
	if !known || now.UID != former.UID {
		return fmt.Errorf("user %q: %w, of uid %d", from, errStillThere, former.UID)
	}
	first, _, err := a.Logins.ByUID(now.UID)
	if err != nil {
		return err
	}
	if first.Name != now.Name {
		return fmt.Errorf("user %q: %w, and the first name of uid %d: both names are asked for the codes of that", from, errStillThere, now.UID)
	}
	return nil
}

// remarkOnFormer names where the policy goes on naming the former name.
func (a *app) remarkOnFormer(policy config.Policy, from, to string) {
	for key, selectors := range map[string][]config.Selector{"policy.require": policy.Require, "policy.exempt": policy.Exempt} {
		for _, selector := range selectors {
			if string(selector) == from {
				a.note("%s names %s: write %s there", key, from, to)
			}
		}
	}
}

// renameHint says what to do where a rename is refused.
func (a *app) renameHint(err error) string {
	switch {
	case errors.Is(err, errStillThere):
		return "change the login name first: usermod -l NEW OLD"
	case errors.Is(err, account.ErrTaken):
		return "see whose devices it has with " + a.self() + " status; " + a.self() + " remove takes it away"
	case errors.Is(err, admin.ErrElsewhere):
		return "rename that other name; " + a.self() + " remove takes away the file that came back"
	case errors.Is(err, errUnknownUser):
		return "change the login name first: usermod -l NEW OLD; --no-user-check renames also to somebody whom this machine does not know"
	}
	return ""
}
