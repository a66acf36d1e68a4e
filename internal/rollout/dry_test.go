package rollout

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/authstack"
)

// The configuration of the dry logins declares what the line names.
func TestDryLoginOfOwnProtocol(t *testing.T) {
	in := tree(t, "good/debian-sshd")
	put(t, in.Root+"/etc/pam.d/vpn", "@include common-auth\n@include common-account\n")
	settings := config.Default()
	settings.Policy.OwnProtocols = []config.Protocol{"vpn"}
	line := Line{Module: authstack.ModuleName, Arguments: []string{"protocol=vpn"}}
	if _, err := Plan(in, config.Default(), "vpn", line); err == nil {
		t.Error("expected a refusal where the protocol is not declared")
	}
	edit, err := Plan(in, settings, "vpn", line)
	if err != nil {
		t.Fatal(err)
	}
	looked := errors.New("looked")
	err = DryLogin(in, settings, edit, func(confDir, _, _ string, _ func(string) (string, error)) (bool, error) {
		dry, err := config.Load(filepath.Join(filepath.Dir(confDir), "otpgate.toml"))
		if err == nil {
			_, err = dry.Policy.Protocol("vpn")
		}
		return false, errors.Join(looked, err)
	})
	if !errors.Is(err, looked) || err.Error() != "dry login: looked" {
		t.Errorf("%v", err)
	}
}
