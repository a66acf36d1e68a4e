package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/audit"
)

func (a *app) remove() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove USER",
		Short: "Remove somebody's secret file",
		Long: `remove deletes the secret file, with every device and recovery code in it, also
one that cannot be read. The person is then treated as somebody who never
enrolled: see otpctl test.

What the ledger knows of the person stays: if the file comes back from a backup,
the codes that were used before stay used.`,
		Example: `  otpctl remove alice
  otpctl remove alice --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeUser,
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return a.does(c, func(ctx context.Context, args []string) error {
		g, dir, name, err := a.openPerson(args[0])
		if err != nil {
			return err
		}
		defer dir.Close()
		if _, err := dir.Load(name); errors.Is(err, account.ErrNotFound) {
			return err
		}
		if err := a.sure(ctx, yes, dir.Path(name)); err != nil {
			return err
		}
		if err := dir.Remove(name); err != nil {
			return err
		}
		changed(g, "remove", audit.Record{User: name})
		a.say("%s is removed.", dir.Path(name))
		return nil
	})
}

// sure asks whether path is to be removed.
func (a *app) sure(ctx context.Context, yes bool, path string) error {
	if yes {
		return nil
	}
	if !a.canAsk() {
		return usage("there is no terminal to ask on; --yes removes without asking")
	}
	answer, err := a.ask(ctx, fmt.Sprintf("Remove %s? Its devices and recovery codes are lost. [y/N] ", path))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer != "y" && answer != "Y" && answer != "yes" {
		return errors.New("nothing is removed")
	}
	return nil
}
