// Package machines has otpctl's commands about machines that decide logins for
// others: the keys that they know each other by, what a client may ask for, and the
// codes by which people get into one while no server can be reached.
//
// Each exported function is a command, named as on the command line. None of them
// shows a private key, codes are shown once by the one that makes them, and every
// change leaves one audit line.
package machines

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/otpctl/invocation"
)

// Client is otpctl client.
func Client(a *invocation.App) *cobra.Command {
	return invocation.Group(&cobra.Command{
		Use:   "client COMMAND",
		Short: "Have a server decide the logins of other machines",
		Long: `A client is a machine without secret files: a server decides its logins. Both know
each other by their keys. init makes one, on either machine, and key shows what the
other one lists; on a server add, list and remove say which clients there are.

One name is one person: alice must be the same human on every client of a server.`,
		Example: `  otpctl client init
  otpctl client add web1 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= --services sshd,sudo
  otpctl client list`,
	}, clientInit(a), clientKey(a), clientAdd(a), clientList(a), clientRemove(a))
}

// gatewayOf is what makes this machine a server.
func gatewayOf(a *invocation.App) (*config.Gateway, error) {
	settings, err := a.Settings()
	if err != nil {
		return nil, err
	}
	if settings.Gateway == nil {
		return nil, errors.New("this machine is no server: its configuration has no [gateway]; run this on a server, or add that table")
	}
	return settings.Gateway, nil
}

// changed writes the audit line of a change.
func changed(a *invocation.App, command, client, reason string) {
	if reason != "" {
		reason += ", "
	}
	a.Sink().Write(audit.Record{
		Client: client, TTY: invocation.Tty(), Verdict: "changed", Rule: "otpctl client " + command, Reason: reason + "by " + invocation.Whoami(),
	})
}
