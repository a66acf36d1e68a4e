package command

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/otpctl/invocation"
)

func version(a *invocation.App) *cobra.Command {
	return a.Does(&cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  otpctl version",
		Args:    cobra.NoArgs,
	}, func(context.Context, []string) error {
		a.Say("%s", versionLine(a))
		return nil
	})
}

func versionLine(a *invocation.App) string {
	return fmt.Sprintf("otpctl %s (%s, %s/%s)", versionOf(a.Version), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// versionOf falls back to what the Go tool recorded in the program.
func versionOf(linked string) string {
	if linked != "" {
		return linked
	}
	info, found := debug.ReadBuildInfo()
	if !found || info.Main.Version == "" {
		return "unknown"
	}
	version := info.Main.Version
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			version += ", revision " + setting.Value
		}
	}
	return version
}
