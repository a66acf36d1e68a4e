package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// rewriting is a command that rewrites secrets.
type rewriting struct {
	how    account.Rewriting
	name   string
	done   string // what has been done to a secret
	dry    bool
	asJSON bool
}

// command makes c the command for it.
func (r rewriting) command(a *invocation.App, c *cobra.Command) *cobra.Command {
	c.Use = r.name + " [USER...]"
	c.Args = cobra.ArbitraryArgs
	c.ValidArgsFunction = a.CompleteUsers
	c.Flags().BoolVar(&r.dry, "dry-run", false, "change nothing, and say what would be changed")
	c.Flags().BoolVar(&r.asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(_ context.Context, args []string) error { return r.run(a, args) })
}

func encrypt(a *invocation.App) *cobra.Command {
	return rewriting{how: account.EncryptPlain, name: "encrypt", done: "encrypted"}.command(a, &cobra.Command{
		Short: "Encrypt the secrets that are not",
		Long: `encrypt encrypts the secrets of people, or of everybody, with the first key of
secrets.keys. Logins go on meanwhile, and used codes stay used. It may be broken off
and run again, or run twice at once.

otpctl encrypts by itself what it writes from the moment that secrets.keys names a
key.`,
		Example: `  otpctl secrets encrypt --dry-run
  otpctl secrets encrypt`,
	})
}

func rotate(a *invocation.App) *cobra.Command {
	return rewriting{how: account.Rotate, name: "rotate", done: "encrypted with the first key"}.command(a, &cobra.Command{
		Short: "Encrypt secrets anew that have an older key",
		Long: `rotate changes the key: it encrypts secrets with the first key of secrets.keys that
are encrypted with another one of them. Logins go on meanwhile. It may be broken off
and run again. Once otpctl secrets status says that nothing has the old key, take its
file out of secrets.keys.`,
		Example: `  otpctl secrets init /var/lib/otpgate-keys/second --spare age1... --out /root/second.age
  otpctl secrets rotate
  otpctl secrets status`,
	})
}

func decrypt(a *invocation.App) *cobra.Command {
	return rewriting{how: account.DecryptAll, name: "decrypt", done: "decrypted"}.command(a, &cobra.Command{
		Short: "Write secrets as they are, without encryption",
		Long: `decrypt undoes encrypt. When it has ended, take [secrets] out of the configuration:
as long as that names a key, whatever writes a secret file encrypts the secrets in it.`,
		Example: `  otpctl secrets decrypt --dry-run
  otpctl secrets decrypt`,
	})
}

// mayRun says why nothing is to be rewritten.
func (r *rewriting) mayRun(settings config.Config) error {
	switch {
	case len(settings.Secrets.Keys) == 0:
		return errors.New("the configuration names no key: expected [secrets] with keys, the files that otpctl secrets init made")
	case r.how == account.DecryptAll && settings.Ledger != nil && settings.Ledger.People:
		return errors.New("secrets are in etcd, as ledger.people of the configuration is true; they are not kept there without being encrypted")
	case r.how == account.DecryptAll && settings.Secrets.Required:
		return errors.New("secrets.required of the configuration is true, so that logins would refuse what is decrypted; set it to false first")
	case r.how == account.DecryptAll:
		return nil
	}
	return gate.PlaceOf(settings).CanWrite()
}

// rewritten is what was done.
type rewritten struct {
	People  int      `json:"people"`
	Changed int      `json:"changed"`
	Secrets int      `json:"secrets"`
	DryRun  bool     `json:"dry_run"`
	Failed  []failed `json:"failed"`
}

type failed struct {
	User  string `json:"user"`
	Error string `json:"error"`
}

func (r *rewriting) run(a *invocation.App, args []string) error {
	g, err := a.Gate()
	if err != nil {
		return err
	}
	if err := r.mayRun(g.Config); err != nil {
		return err
	}
	names, err := a.SessionNames(g, args)
	if err != nil {
		return err
	}
	done, err := r.all(a, g, names)
	if done.Changed > 0 && !r.dry {
		reason := fmt.Sprintf("%s of %s %s", invocation.Counted(done.Secrets, "secret", "secrets"), invocation.Counted(done.Changed, "person", "people"), r.done)
		record := audit.Record{Reason: reason}
		if done.People == 1 {
			record.User = names[0]
		}
		invocation.Changed(g, "secrets "+r.name, record)
	}
	if err != nil {
		return err
	}
	return r.report(a, done)
}

// all rewrites the secrets of these people, one after the other. A failure does not
// keep the others from it.
func (r *rewriting) all(a *invocation.App, g admin.People, names []string) (done rewritten, err error) {
	done = rewritten{People: len(names), DryRun: r.dry, Failed: []failed{}}
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return done, err
	}
	defer dir.Close()
	bar := a.Begin("people done", len(names))
	defer a.Clear()
	for batch := range slices.Chunk(names, account.BatchSize) {
		people, err := dir.Rewrite(batch, r.how, r.dry)
		if err != nil {
			return done, err
		}
		for _, one := range people {
			done.add(a, one)
			bar.Step()
		}
	}
	if r.how == account.EncryptPlain && !r.dry {
		return done, dir.RemoveLeft()
	}
	return done, nil
}

func (d *rewritten) add(a *invocation.App, one account.Rewritten) {
	if one.Changed > 0 {
		d.Changed++
		d.Secrets += one.Changed
	}
	// Somebody may have been removed meanwhile.
	if one.Err != nil && !errors.Is(one.Err, account.ErrNotFound) {
		a.Complain(fmt.Errorf("user %q: %w", one.User, one.Err))
		d.Failed = append(d.Failed, failed{one.User, one.Err.Error()})
	}
}

func (r *rewriting) report(a *invocation.App, done rewritten) error {
	if r.asJSON {
		if err := a.JSON(done); err != nil {
			return err
		}
	} else {
		verb := r.done
		if r.dry {
			verb = "would be " + verb
		}
		a.Say("%s of %s %s.", invocation.Counted(done.Secrets, "secret", "secrets"), invocation.Counted(done.Changed, "person", "people"), verb)
	}
	if n := len(done.Failed); n > 0 {
		return fmt.Errorf("%d of %d people have secrets that stay as they are", n, done.People)
	}
	return nil
}
