package invocation

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// CompleteUser offers the people who have a secret file for the only USER.
func (a *App) CompleteUser(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.CompleteUsers(c, args, "")
}

// CompleteUsers offers them for each USER. Who may not read them gets none.
func (a *App) CompleteUsers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	path, err := a.ConfigPath()
	if err != nil {
		return nil, none
	}
	settings, err := config.Load(path)
	if err != nil {
		return nil, none
	}
	dir, err := gate.PlaceOf(settings).Open()
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

// Complete offers fixed values for a flag of c.
func Complete(c *cobra.Command, flag string, values ...string) {
	CompleteBy(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// CompleteBy offers for a flag of c what offer says.
func CompleteBy(c *cobra.Command, flag string, offer cobra.CompletionFunc) {
	// It fails only for a flag that c does not have; a test looks at each.
	_ = c.RegisterFlagCompletionFunc(flag, offer)
}

// NoFiles keeps shells from offering files for what c and those below take that
// is none: cobra offers them for all that nobody registered. A flag whose
// placeholder is file or path takes one, and so does a FILE of the usage.
func NoFiles(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		_, registered := c.GetFlagCompletionFunc(f.Name)
		placeholder, _ := pflag.UnquoteUsage(f)
		if !registered && placeholder != "file" && placeholder != "path" {
			Complete(c, f.Name)
		}
	})
	if c.ValidArgsFunction == nil && len(c.ValidArgs) == 0 && !strings.Contains(c.Use, "FILE") {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
	for _, below := range c.Commands() {
		NoFiles(below)
	}
}

// CompleteServices offers them for each service.
func (a *App) CompleteServices(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	names, err := pamstack.Of(a.Machine.Root).Services()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
