package invocation

import (
	"os"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/rollout"
)

// Settings are the configuration that logins have.
func (a *App) Settings() (config.Config, error) {
	path, err := a.ConfigPath()
	if err != nil {
		return config.Config{}, err
	}
	if a.Machine.Root != "" && path == "" {
		if path = a.Machine.Root + config.DefaultPath; !isFile(path) {
			return config.Default(), nil
		}
	}
	return config.Load(path)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// SettingsOrDefault are for what must work while the configuration is wrong.
func (a *App) SettingsOrDefault() config.Config {
	settings, err := a.Settings()
	if err != nil {
		return config.Default()
	}
	return settings
}

// Changer changes pam.d of the machine that is examined.
func (a *App) Changer() rollout.Changer { return rollout.Changer{Root: a.Machine.Root, Now: a.Now} }
