package machines

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// wanted is what the flags of add say.
type wanted struct {
	services, users, addresses []string
	enroll, noSend             bool
}

func clientAdd(a *invocation.App) *cobra.Command {
	var want wanted
	c := &cobra.Command{
		Use:   "add NAME KEY",
		Short: "Let a machine have its logins decided here",
		Long: `add writes the file of a client, NAME.toml in gateway.clients. KEY is what otpctl
client key shows on that machine. Its logins are decided here from then on. What it may
ask for can be bounded; change the file to change that later.

People see the name in codes that are sent. Every name that logs in there is the
same person as here: keep machines where names mean others on a server of their own.`,
		Example: `  otpctl client add web1 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
  otpctl client add web1 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= --services sshd,sudo --users @staff --from 192.0.2.0/24`,
		Args: cobra.ExactArgs(2),
	}
	f := c.Flags()
	f.StringSliceVar(&want.services, "services", nil, "the PAM `services` that it may ask for; default all")
	f.StringSliceVar(&want.users, "users", nil, "the `people` whom it may ask for: names, @group or @all; default everybody")
	f.StringSliceVar(&want.addresses, "from", nil, "the `addresses` or networks that it must come from; default anywhere")
	f.BoolVar(&want.enroll, "enroll", false, "let people enroll at a login there")
	f.BoolVar(&want.noSend, "no-send", false, "send no codes to people who log in there")
	return a.Does(c, func(_ context.Context, args []string) error {
		gateway, err := gatewayOf(a)
		if err != nil {
			return err
		}
		client, err := want.client(args[0], args[1])
		if err != nil {
			return err
		}
		if err := clients.Add(gateway.Clients, client); err != nil {
			return err
		}
		changed(a, "add", client.Client, "key "+client.Keys[0].String())
		a.Sum("%s may have its logins decided here; its file is %s", client.Client, clients.Path(gateway.Clients, client.Client))
		return nil
	})
}

// client is what the command line says.
func (w wanted) client(name, key string) (clients.Client, error) {
	client := clients.Default()
	client.Client, client.Enroll, client.Send = name, w.enroll, !w.noSend
	if err := remotewire.CheckClient(name); err != nil {
		return client, invocation.Usage("client %q: %w", name, err)
	}
	var hash config.KeyHash
	if err := hash.UnmarshalText([]byte(key)); err != nil {
		return client, invocation.Usage("key %q: %w", key, err)
	}
	client.Keys = []config.KeyHash{hash}
	client.Services = w.services
	for _, user := range w.users {
		var selector config.Selector
		if err := selector.UnmarshalText([]byte(user)); err != nil {
			return client, invocation.Usage("--users %q: %w", user, err)
		}
		client.Users = append(client.Users, selector)
	}
	for _, address := range w.addresses {
		var network config.Network
		if err := network.UnmarshalText([]byte(address)); err != nil {
			return client, invocation.Usage("--from %q: %w", address, err)
		}
		client.Addresses = append(client.Addresses, network)
	}
	return client, nil
}

func clientRemove(a *invocation.App) *cobra.Command {
	c := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Decide a machine's logins no longer",
		Long:    `remove takes a client's file away. Its next login is refused.`,
		Example: `  otpctl client remove web1`,
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if gateway, err := gatewayOf(a); err == nil && len(args) == 0 {
				all, _, _ := clients.All(gateway.Clients)
				for _, client := range all {
					if strings.HasPrefix(client.Client, part) {
						names = append(names, client.Client)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	return a.Does(c, func(_ context.Context, args []string) error {
		gateway, err := gatewayOf(a)
		if err != nil {
			return err
		}
		if err := clients.Remove(gateway.Clients, args[0]); err != nil {
			return err
		}
		changed(a, "remove", args[0], "")
		a.Sum("%s has its logins decided here no longer", args[0])
		return nil
	})
}
