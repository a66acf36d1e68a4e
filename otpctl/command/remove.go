package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
)

func (a *app) remove() *cobra.Command {
	var yes bool
	var id string
	c := &cobra.Command{
		Use:   "remove USER",
		Short: "Remove somebody's secret file, or one device from it",
		Long: `remove deletes the secret file, with every device and recovery code in it, also
one that cannot be read. The person is then treated as somebody who never
enrolled: see otpctl test.

With --id it takes one device out of the file and leaves the others. The recovery
codes go with the last one that counts.

What the ledger knows of the person stays: if the file comes back from a backup,
the codes that were used before stay used.`,
		Example: `  otpctl remove alice
  otpctl remove alice --id tablet --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeUser,
	}
	c.Flags().StringVar(&id, "id", "", "`name` of the device to remove, instead of the whole file")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return a.does(c, func(ctx context.Context, args []string) error {
		g, dir, name, err := a.openPerson(args[0])
		if err != nil {
			return err
		}
		defer dir.Close()
		if _, err := dir.Load(name); errors.Is(err, account.ErrNotFound) {
			a.remarkOnNames(g, name)
			return err
		}
		if c.Flags().Changed("id") {
			return a.removeFactor(ctx, g, name, id, yes)
		}
		question := fmt.Sprintf("Remove %s? Its devices and recovery codes are lost.", dir.Path(name))
		if err := a.sure(ctx, yes, question, "nothing is removed"); err != nil {
			return err
		}
		if err := dir.Remove(name); err != nil {
			return err
		}
		changed(g, "remove", audit.Record{User: name})
		a.say("%s is removed.", dir.Path(name))
		a.remarkOnNames(g, name)
		return nil
	})
}

func (a *app) removeFactor(ctx context.Context, g admin.People, name, id string, yes bool) error {
	question := fmt.Sprintf("Remove the factor %s of %s?", id, name)
	if person, err := g.Accounts.Load(name); err == nil && isLast(person, id) {
		question += " No other counts, so the recovery codes go with it."
	}
	if err := a.sure(ctx, yes, question, "nothing is removed"); err != nil {
		return err
	}
	after, err := g.RemoveFactor(name, id)
	if err != nil {
		return err
	}
	changed(g, "remove", audit.Record{User: name, Reason: "factor " + id})
	a.say("%s of %s is removed.", id, name)
	a.remarkOnNames(g, name)
	if !after.Enrolled() {
		a.note("%s is not enrolled any more: %s test %s --service sshd says what a login comes to", name, a.self(), name)
	}
	return nil
}

// isLast says whether id is the only factor that counts.
func isLast(person account.Person, id string) bool {
	confirmed := person.Confirmed()
	return len(confirmed) == 1 && confirmed[0].ID == id
}

// sure asks whether something is to be done. otherwise is the error if it is
// not.
func (a *app) sure(ctx context.Context, yes bool, question, otherwise string) error {
	if yes {
		return nil
	}
	if !a.canAsk() {
		return usage("there is no terminal to ask on; --yes does it without asking")
	}
	answer, err := a.ask(ctx, question+" [y/N] ")
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer != "y" && answer != "Y" && answer != "yes" {
		return errors.New(otherwise)
	}
	return nil
}
