package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/otpctl/invocation"
)

func completion(a *invocation.App) *cobra.Command {
	c := &cobra.Command{
		Use:       "completion bash|zsh|fish",
		Short:     "Print the completion script of a shell",
		Long:      "completion prints a script by which the shell completes commands, flags and the\nnames of people.",
		ValidArgs: []string{"bash", "zsh", "fish"},
		Example: `  otpctl completion bash >/usr/share/bash-completion/completions/otpctl
  otpctl completion zsh >/usr/share/zsh/vendor-completions/_otpctl
  otpctl completion fish >/usr/share/fish/vendor_completions.d/otpctl.fish`,
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
	}
	return a.Does(c, func(_ context.Context, args []string) error {
		switch args[0] {
		case "bash":
			return c.Root().GenBashCompletionV2(a.Out, true)
		case "zsh":
			return c.Root().GenZshCompletion(a.Out)
		}
		return c.Root().GenFishCompletion(a.Out, true)
	})
}
