package command

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
)

func (a *app) completion() *cobra.Command {
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
	return a.does(c, func(_ context.Context, args []string) error {
		switch args[0] {
		case "bash":
			return c.Root().GenBashCompletionV2(a.out, true)
		case "zsh":
			return c.Root().GenZshCompletion(a.out)
		}
		return c.Root().GenFishCompletion(a.out, true)
	})
}

// completeUser offers the people who have a secret file for the only USER.
func (a *app) completeUser(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeUsers(c, args, "")
}

// completeUsers offers them for each USER. Who may not read them gets none.
func (a *app) completeUsers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	path, err := a.configPath()
	if err != nil {
		return nil, none
	}
	settings, err := config.Load(path)
	if err != nil {
		return nil, none
	}
	dir, err := account.Open(settings.Paths.Users, settings.Policy.OwnProtocols...)
	if err != nil {
		return nil, none
	}
	defer dir.Close()
	names, err := dir.Names()
	if err != nil {
		return nil, none
	}
	return names, none
}

// complete offers fixed values for a flag of c.
func complete(c *cobra.Command, flag string, values ...string) {
	completeBy(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func completeBy(c *cobra.Command, flag string, offer cobra.CompletionFunc) {
	// It fails only for a flag that c does not have; a test looks at each.
	_ = c.RegisterFlagCompletionFunc(flag, offer)
}

// noFiles keeps shells from offering files for what c and those below take that
// is none: cobra offers them for all that nobody registered. A flag whose
// placeholder is file or path takes one, and so does a FILE of the usage.
func noFiles(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		_, registered := c.GetFlagCompletionFunc(f.Name)
		placeholder, _ := pflag.UnquoteUsage(f)
		if !registered && placeholder != "file" && placeholder != "path" {
			complete(c, f.Name)
		}
	})
	if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 && !strings.Contains(c.Use, "FILE") {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, below := range c.Commands() {
		noFiles(below)
	}
}
