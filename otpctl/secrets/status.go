package secrets

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

func status(a *invocation.App) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show which keys there are, and what is encrypted with them",
		Long: `status shows the keys of secrets.keys and, for each, how many secrets are encrypted
with it, how many are not encrypted, and which cannot be read. It fails if a secret
or a secret file cannot be read, or if the first key cannot encrypt.`,
		Example: `  otpctl secrets status
  otpctl secrets status --json | jq .plain`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return a.Does(c, func(context.Context, []string) error {
		g, err := a.Gate()
		if err != nil {
			return err
		}
		found, err := look(a, g)
		if err != nil {
			return err
		}
		if asJSON {
			err = a.JSON(found)
		} else {
			err = show(a, found)
		}
		if n := len(found.Unreadable); err == nil && n > 0 {
			return fmt.Errorf("%s cannot be read", invocation.Counted(n, "secret or secret file", "secrets or secret files"))
		}
		if err != nil {
			return err
		}
		if err := gate.PlaceOf(g.Config).CanWrite(); err != nil {
			return fmt.Errorf("nobody can enroll: %w", err)
		}
		return nil
	})
}

// found is what status shows.
type found struct {
	Keys     []keyState `json:"keys"`
	Required bool       `json:"required"`
	People   int        `json:"people"`
	Secrets  int        `json:"secrets"`
	Plain    int        `json:"plain"`
	// Scratch counts the people with scratch codes, which can be found out.
	Scratch int `json:"scratch"`
	// Unreadable are secrets that cannot be read, and files.
	Unreadable []unreadable `json:"unreadable"`
}

// keyState is a key that the configuration names, or that a secret is encrypted with.
type keyState struct {
	File    string `json:"file,omitempty"`
	Key     string `json:"key,omitempty"`
	Spare   string `json:"spare,omitempty"` // "made", "none", "unknown"
	Secrets int    `json:"secrets"`
	Error   string `json:"error,omitempty"`
}

type unreadable struct {
	User   string `json:"user"`
	Factor string `json:"factor,omitempty"`
	Error  string `json:"error"`
}

var spareWords = map[keyring.Spare]string{keyring.SpareUnknown: "unknown", keyring.SpareNone: "none", keyring.SpareMade: "made"}

func look(a *invocation.App, g admin.People) (found, error) {
	f := found{Required: g.Config.Secrets.Required, Keys: []keyState{}, Unreadable: []unreadable{}}
	dir, err := gate.PlaceOf(g.Config).Open()
	if err != nil {
		return f, err
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		return f, err
	}
	with := map[string]int{}
	bar := a.Begin("people read", len(names))
	for _, name := range names {
		f.count(dir, name, with)
		bar.Step()
	}
	a.Clear()
	for _, path := range g.Config.Secrets.Keys {
		key, spare, err := keyring.ReadFile(path)
		state := keyState{File: path, Key: key, Secrets: with[key]}
		if err != nil {
			state.Error = err.Error()
		} else {
			state.Spare = spareWords[spare]
		}
		delete(with, key)
		f.Keys = append(f.Keys, state)
	}
	for _, key := range slices.Sorted(maps.Keys(with)) {
		f.Keys = append(f.Keys, keyState{Key: key, Secrets: with[key], Error: "no file of secrets.keys has this key"})
	}
	return f, nil
}

// count looks at one person. with counts secrets by the key.
func (f *found) count(dir account.Store, name string, with map[string]int) {
	f.People++
	person, err := dir.Load(name)
	if err != nil {
		f.Unreadable = append(f.Unreadable, unreadable{User: name, Error: err.Error()})
		return
	}
	if factor.HasScratch(person) {
		f.Scratch++
	}
	for _, device := range person.Factors {
		if device.Kind.IsSent() {
			continue
		}
		f.Secrets++
		key := keyring.KeyOf(device.Encrypted)
		switch {
		case !device.IsEncrypted():
			f.Plain++
		case key != "":
			with[key]++
		}
		if err := device.Unreadable(); err != nil {
			f.Unreadable = append(f.Unreadable, unreadable{name, device.ID, err.Error()})
		}
	}
}

// mostShown is how many secrets that cannot be read are named: without the key that
// is everybody's.
const mostShown = 10

func show(a *invocation.App, f found) error {
	for i, u := range f.Unreadable {
		if i == mostShown {
			a.Note("and %d more; --json names all", len(f.Unreadable)-i)
			break
		}
		a.Note("user %q: %s", u.User, u.Error)
	}
	a.Say("%s of %s, %d not encrypted.", invocation.Counted(f.Secrets, "secret", "secrets"), invocation.Counted(f.People, "person", "people"), f.Plain)
	if len(f.Keys) == 0 {
		a.Say("secrets.keys of the configuration names no key.")
		return nil
	}
	table := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tSECRETS\tSPARE COPY\tFILE")
	for _, k := range f.Keys {
		file := invocation.OrDash(k.File)
		if k.Error != "" {
			file = k.Error
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", invocation.OrDash(k.Key), k.Secrets, invocation.OrDash(k.Spare), invocation.Printable(file))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if f.Scratch > 0 {
		a.Note("%s scratch codes, which whoever reads the file can find out: otpctl recovery makes new codes", invocation.Counted(f.Scratch, "person has", "people have"))
	}
	return nil
}
