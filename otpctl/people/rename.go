package people

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Rename is otpctl rename.
func Rename(a *invocation.App) *cobra.Command {
	var noSystemCheck bool
	c := &cobra.Command{
		Use:   "rename OLD NEW",
		Short: "Follow a login name that was changed",
		Long: `rename gives the secret file of the name OLD to the name NEW. Run it right after
usermod -l: until then NEW is not asked for a code, unless the policy requires
one. Used codes stay used, recovery codes stay good, and wrong codes go on
counting, and so does grace, also for somebody who has no secret file yet.
Remembered logins end, and so do codes that are on their way. Nothing in the file
is good under the name OLD again, even if the file comes back.

If rename is killed, NEW is refused until you run the same command again. It also
finishes what was begun by hand: a file that was moved, or whose user was edited.

OLD must not be an account any more. But if both are names of one uid, the file
may go to the first of them.`,
		Example:           `  usermod -l alicia alice && otpctl rename alice alicia`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.CompleteUser,
	}
	c.Flags().BoolVar(&noSystemCheck, "no-user-check", false, "allow a NEW that this machine does not know")
	return a.Does(c, func(ctx context.Context, args []string) error {
		return runRename(ctx, a, args[0], args[1], noSystemCheck)
	})
}

func runRename(ctx context.Context, a *invocation.App, from, to string, noSystemCheck bool) error {
	for _, name := range []string{from, to} {
		if err := account.CheckName(name); err != nil {
			return invocation.UsageError{Err: err}
		}
	}
	if from == to {
		return invocation.Usage("expected two names, found %s twice", from)
	}
	g, err := a.Gate()
	if err != nil {
		return err
	}
	if !noSystemCheck {
		if to, err = a.SystemName(to); err != nil {
			return err
		}
		if err := isFree(a, from, to); err != nil {
			return err
		}
	}
	done, err := g.Rename(ctx, from, to)
	if err != nil {
		return err
	}
	invocation.Changed(g, "rename", audit.Record{User: to, Reason: "was " + from})
	if done.NoFile {
		a.Say("%s is %s now: there is no secret file; grace and wrong codes go on.", from, to)
		remarkOnFormer(a, g.Config.Policy, from, to)
		return nil
	}
	a.Say("%s is %s now: %s, %s left.", from, to, invocation.Counted(len(done.Person.Factors), "device", "devices"),
		invocation.Counted(done.RecoveryLeft, "recovery code", "recovery codes"))
	remarkOnFormer(a, g.Config.Policy, from, to)
	if done.RecoveryLeft == 0 && (factor.HasOwnRecovery(done.Person) || factor.HasScratch(done.Person)) {
		a.Note("no recovery code is left: %s recovery %s makes new ones", a.Self(), to)
	}
	return nil
}

// isFree refuses to take the file from a name that somebody logs in by: he would
// not be asked any more.
func isFree(a *invocation.App, from, to string) error {
	former, found, err := a.Logins.ByName(from)
	if err != nil || !found {
		return err
	}
	now, known, err := a.Logins.ByName(to)
	if err != nil {
		return err
	}
	if !known || now.UID != former.UID {
		return fmt.Errorf("user %q: %w, of uid %d", from, invocation.ErrStillThere, former.UID)
	}
	first, _, err := a.Logins.ByUID(now.UID)
	if err != nil {
		return err
	}
	if first.Name != now.Name {
		return fmt.Errorf("user %q: %w, and the first name of uid %d: both names are asked for the codes of that", from, invocation.ErrStillThere, now.UID)
	}
	return nil
}

// remarkOnFormer names where the policy goes on naming the former name.
func remarkOnFormer(a *invocation.App, policy config.Policy, from, to string) {
	for key, selectors := range map[string][]config.Selector{"policy.require": policy.Require, "policy.exempt": policy.Exempt} {
		for _, selector := range selectors {
			if string(selector) == from {
				a.Note("%s names %s: write %s there", key, from, to)
			}
		}
	}
}
