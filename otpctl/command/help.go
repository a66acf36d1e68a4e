package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/otpctl/invocation"
)

// help takes the place of cobra's, whose status says that all is well when
// there is no such command.
func help(a *invocation.App, root *cobra.Command) *cobra.Command {
	return a.Does(&cobra.Command{
		Use:     "help [COMMAND [SUBCOMMAND]]",
		Short:   "Show what a command does",
		Example: "  otpctl help enroll",
		Args:    cobra.MaximumNArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			above, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			for _, c := range above.Commands() {
				names = append(names, c.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}, func(_ context.Context, args []string) error {
		found, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return invocation.NoCommand(found, args[len(args)-len(rest)])
		}
		return found.Help()
	})
}
