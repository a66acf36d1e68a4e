package command

import (
	"context"

	"github.com/spf13/cobra"
)

// help takes the place of cobra's, whose status says that all is well when
// there is no such command.
func (a *app) help(root *cobra.Command) *cobra.Command {
	return a.does(&cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show what a command does",
		Example: "  otpctl help enroll",
		Args:    cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range root.Commands() {
				names = append(names, c.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}, func(_ context.Context, args []string) error {
		found, rest, err := root.Find(args)
		if err != nil || len(rest) > 0 {
			return usage("no command %q", args)
		}
		return found.Help()
	})
}
