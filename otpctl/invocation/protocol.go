package invocation

import (
	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/config"
)

// Protocol reads the value of --protocol.
func (a *App) Protocol(name string) (config.Protocol, error) {
	settings, err := a.Settings()
	if err != nil {
		return "", err
	}
	protocol, err := settings.Policy.Protocol(name)
	if err != nil {
		return "", Usage("--protocol %q: %w", name, err)
	}
	return protocol, nil
}

// CompleteProtocols offers those that are built in and the policy's own.
func (a *App) CompleteProtocols(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, protocol := range a.SettingsOrDefault().Policy.AllProtocols() {
		names = append(names, string(protocol))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
