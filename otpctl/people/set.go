package people

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// setFlags are the flags of set.
type setFlags struct {
	email, phone, protocols       string
	noEmail, noPhone, noProtocols bool
}

// Set is otpctl set.
func Set(a *invocation.App) *cobra.Command {
	var flags setFlags
	c := &cobra.Command{
		Use:   "set USER... | --group GROUP",
		Short: "Change somebody's addresses, or where codes are asked",
		Long: `set changes secret files: the addresses that codes are sent to, and the protocols
on which the person is asked for a code, instead of those of the policy.

An address belongs to one person, so --email and --phone take only one USER. An
address that a factor needs can be changed, but not taken away.`,
		Example: `  otpctl set alice --email alice@example.com --phone +491511234567
  otpctl set alice bob --protocols ssh,sudo
  otpctl set --group staff --no-protocols --dry-run`,
		ValidArgsFunction: a.CompleteUsers,
	}
	s := invocation.SeveralPeople(c)
	c.Args = s.Args
	f := c.Flags()
	f.StringVar(&flags.email, "email", "", "`address` that codes are sent to")
	f.StringVar(&flags.phone, "phone", "", "`number` that codes are sent to, in digits with a plus in front")
	f.StringVar(&flags.protocols, "protocols", "", "`list` of protocols, with commas, on which a code is asked")
	f.BoolVar(&flags.noEmail, "no-email", false, "take the mail address away")
	f.BoolVar(&flags.noPhone, "no-phone", false, "take the telephone number away")
	f.BoolVar(&flags.noProtocols, "no-protocols", false, "ask on the protocols of the policy again")
	invocation.CompleteBy(c, "protocols", a.CompleteProtocols)
	return a.Does(c, func(ctx context.Context, args []string) error {
		settings, err := a.Settings()
		if err != nil {
			return err
		}
		changes, err := flags.changes(f.Changed, settings.Policy)
		if err != nil {
			return err
		}
		if (flags.email != "" || flags.phone != "") && (s.Group != "" || len(args) > 1) {
			return invocation.Usage("--email and --phone are of one person: expected one USER, and no --group")
		}
		if changes.Protocols != nil {
			remarkOnSFTP(a, *changes.Protocols)
		}
		return a.Each(ctx, s, args, func(_ context.Context, g admin.People, name string, dry bool) (string, bool, error) {
			return setOne(a, g, name, changes, dry)
		})
	})
}

// changes checks the flags.
func (f setFlags) changes(given func(flag string) bool, policy config.Policy) (admin.Changes, error) {
	var changes admin.Changes
	for _, flag := range []struct {
		name  string
		value string
		none  bool
		check func(string) error
		to    **string
	}{
		{"email", f.email, f.noEmail, account.CheckEmail, &changes.Email},
		{"phone", f.phone, f.noPhone, account.CheckNewPhone, &changes.Phone},
	} {
		switch {
		case given(flag.name) && flag.none:
			return changes, invocation.Usage("--%s and --no-%s: expected one of them", flag.name, flag.name)
		case given(flag.name) && flag.check(flag.value) != nil:
			return changes, invocation.Usage("--%s %q: %w", flag.name, flag.value, flag.check(flag.value))
		case given(flag.name) || flag.none:
			*flag.to = &flag.value
		}
	}
	switch {
	case given("protocols") && f.noProtocols:
		return changes, invocation.Usage("--protocols and --no-protocols: expected one of them")
	case f.noProtocols:
		changes.Protocols = &[]config.Protocol{}
	case given("protocols"):
		list, err := protocolList(strings.Split(f.protocols, ","), policy)
		if err != nil {
			return changes, invocation.Usage("--protocols %q: %w", f.protocols, err)
		}
		changes.Protocols = &list
	}
	if changes == (admin.Changes{}) {
		return changes, invocation.Usage("nothing to change: expected --email, --phone, --protocols or one of them with no- in front")
	}
	return changes, nil
}

// remarkOnSFTP tells of what the name of a protocol does not mean.
func remarkOnSFTP(a *invocation.App, list []config.Protocol) (remarked bool) {
	if !slices.Contains(list, "sftp") || slices.Contains(list, "ssh") {
		return false
	}
	a.Note("the SFTP of sshd itself is ssh: without ssh in the list no code is asked for it")
	return true
}

// protocolList reads names of protocols.
func protocolList(names []string, policy config.Policy) ([]config.Protocol, error) {
	var list []config.Protocol
	for _, name := range names {
		protocol, err := policy.Protocol(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		if !slices.Contains(list, protocol) {
			list = append(list, protocol)
		}
	}
	return list, nil
}

func setOne(a *invocation.App, g admin.People, name string, changes admin.Changes, dry bool) (string, bool, error) {
	var keys []string
	var after account.Person
	var err error
	if dry {
		if after, err = g.Accounts.Load(name); err == nil {
			keys, err = changes.Apply(&after)
		}
	} else {
		after, keys, err = g.Set(name, changes)
	}
	switch {
	case err != nil:
		return "", false, err
	case len(keys) == 0:
		return "was so already", false, nil
	case dry:
		return "would be changed: " + told(after, keys), true, nil
	}
	invocation.Changed(g, "set", audit.Record{User: name, Reason: told(after, keys)})
	remarkOnAddresses(a, g.Config, after, keys)
	return "changed: " + told(after, keys), true, nil
}

// remarkOnAddresses says what a new address is for.
func remarkOnAddresses(a *invocation.App, settings config.Config, after account.Person, keys []string) {
	for _, f := range after.Confirmed() {
		if slices.Contains(keys, addressOf(f.Kind)) {
			a.Note("codes of %s go to the new %s from now on; %s send-test %s %s tries it", f.ID, addressWord(f.Kind), a.Self(), f.Kind, after.User)
		}
	}
	if after.Email != "" && slices.Contains(keys, "email") {
		a.RemarkOnKind(settings, after, account.Email)
	}
	if after.Phone != "" && slices.Contains(keys, "phone") {
		a.RemarkOnKind(settings, after, account.SMS)
	}
}

func addressWord(kind account.Kind) string {
	if kind == account.SMS {
		return "number"
	}
	return "address"
}

// addressOf is the key of the address that codes of this kind go to.
func addressOf(kind account.Kind) string {
	switch kind {
	case account.Email:
		return "email"
	case account.SMS:
		return "phone"
	}
	return ""
}

// told says what the keys of a person are, addresses masked.
func told(person account.Person, keys []string) string {
	values := map[string]string{"email": deliver.MaskEmail(person.Email), "phone": deliver.MaskPhone(person.Phone), "protocols": protocolNames(person.Protocols)}
	if person.Email == "" {
		values["email"] = "none"
	}
	if person.Phone == "" {
		values["phone"] = "none"
	}
	if person.Protocols == nil {
		values["protocols"] = "those of the policy"
	}
	var parts []string
	for _, key := range keys {
		parts = append(parts, key+" "+values[key])
	}
	return strings.Join(parts, "; ")
}
