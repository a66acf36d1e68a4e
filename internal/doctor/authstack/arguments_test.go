package authstack

import (
	"testing"

	"github.com/otpgate/otpgate/internal/config"
)

// An argument that is known, with a value that is not, says what values there are.
func TestWrongArgumentNamesItsValues(t *testing.T) {
	for _, test := range []struct {
		argument string
		before   []string
		want     string
	}{
		{"protocol=sshd", nil, "a protocol, one of ssh, sftp, ftp, ftps, http, https, webdav, sudo, su, login, vpn; policy.own_protocols declares more"},
		{"timeout=2m", nil, "whole seconds from 1 to 600 after timeout="},
		{"config=otpgate.toml", nil, "an absolute path after config="},
		{"verifier=on", nil, "off or an absolute path of at most 107 bytes after verifier="},
		{"debug", []string{"debug"}, "debug only once"},
		{"debug=1", nil, everyArgument},
		{"protocol", nil, everyArgument},
		{"nullok", nil, everyArgument},
		{"protocol=ssh", nil, ""},
		{"protocol=vpn", nil, ""},
		{"timeout=600", nil, ""},
		{"config=/etc/o.toml", nil, ""},
		{"verifier=off", nil, ""},
	} {
		if got := wrongArgument(test.argument, test.before, []config.Protocol{"vpn"}); got != test.want {
			t.Errorf("%s: %q, expected %q", test.argument, got, test.want)
		}
	}
}
