package command

import (
	"github.com/spf13/cobra"

	"github.com/otpgate/otpgate/internal/config"
)

// protocol reads the value of --protocol.
func (a *app) protocol(name string) (config.Protocol, error) {
	settings, err := a.settings()
	if err != nil {
		return "", err
	}
	protocol, err := settings.Policy.Protocol(name)
	if err != nil {
		return "", usage("--protocol %q: %w", name, err)
	}
	return protocol, nil
}

// completeProtocols offers those that are built in and the policy's own.
func (a *app) completeProtocols(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, protocol := range a.settingsOrDefault().Policy.AllProtocols() {
		names = append(names, string(protocol))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
