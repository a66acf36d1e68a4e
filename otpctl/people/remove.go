package people

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Remove is otpctl remove.
func Remove(a *invocation.App) *cobra.Command {
	var yes, asJSON bool
	var id string
	c := &cobra.Command{
		Use:   "remove USER",
		Short: "Remove somebody's secret file, or one device from it",
		Long: `remove deletes the secret file, with every device and recovery code in it, even
if it cannot be read. The person is then treated like somebody who never
enrolled: see otpctl test.

With --id it removes one device and leaves the others. The recovery codes go with
the last device that counts.

The ledger keeps what it knows of the person: if the file comes back from a
backup, used codes stay used.`,
		Example: `  otpctl remove alice
  otpctl remove alice --id tablet --yes`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.CompleteUser,
	}
	c.Flags().StringVar(&id, "id", "", "`name` of the device to remove, instead of the whole file")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return a.Does(c, func(ctx context.Context, args []string) error {
		g, dir, name, err := a.OpenPerson(args[0])
		if err != nil {
			return err
		}
		defer dir.Close()
		if _, err := dir.Load(name); errors.Is(err, account.ErrNotFound) {
			a.RemarkOnNames(g, name)
			return err
		}
		if c.Flags().Changed("id") {
			return removeFactor(ctx, a, g, name, id, yes, asJSON)
		}
		question := fmt.Sprintf("Remove %s? Its devices and recovery codes are lost.", dir.Path(name))
		if err := a.Sure(ctx, yes, question, "nothing is removed"); err != nil {
			return err
		}
		if err := g.Remove(ctx, name); err != nil {
			return err
		}
		invocation.Changed(g, "remove", audit.Record{User: name})
		a.RemarkOnNames(g, name)
		return saidRemoved(a, asJSON, removed{User: name, File: dir.Path(name)}, dir.Path(name)+" is removed.")
	})
}

// removed is what was taken away: the file, or a device out of it.
type removed struct {
	User     string `json:"user"`
	File     string `json:"file,omitempty"`
	ID       string `json:"id,omitempty"`
	Enrolled bool   `json:"enrolled"` // whether codes are still asked for
}

func saidRemoved(a *invocation.App, asJSON bool, what removed, words string) error {
	if asJSON {
		return a.JSON(what)
	}
	a.Say("%s", words)
	return nil
}

func removeFactor(ctx context.Context, a *invocation.App, g admin.People, name, id string, yes, asJSON bool) error {
	question := fmt.Sprintf("Remove the factor %s of %s?", id, name)
	if person, err := g.Accounts.Load(name); err == nil && isLast(person, id) {
		question += " No other counts, so the recovery codes go with it."
	}
	if err := a.Sure(ctx, yes, question, "nothing is removed"); err != nil {
		return err
	}
	after, err := g.RemoveFactor(name, id)
	if err != nil {
		return err
	}
	invocation.Changed(g, "remove", audit.Record{User: name, Reason: "factor " + id})
	a.RemarkOnNames(g, name)
	if !after.Enrolled() {
		a.Note("%s is no longer enrolled: %s test %s --service sshd says what happens at a login", name, a.Self(), name)
	}
	return saidRemoved(a, asJSON, removed{User: name, ID: id, Enrolled: after.Enrolled()}, fmt.Sprintf("%s of %s is removed.", id, name))
}

// isLast says whether id is the only factor that counts.
func isLast(person account.Person, id string) bool {
	confirmed := person.Confirmed()
	return len(confirmed) == 1 && confirmed[0].ID == id
}
