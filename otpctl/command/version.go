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
	var asJSON bool
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  otpctl version",
		Args:    cobra.NoArgs,
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return a.Does(c, func(context.Context, []string) error {
		if asJSON {
			return a.JSON(versions{versionOf(a.Version), runtime.Version(), runtime.GOOS, runtime.GOARCH})
		}
		a.Say("%s", versionLine(a))
		return nil
	})
}

// versions is what versionLine says.
type versions struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
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
