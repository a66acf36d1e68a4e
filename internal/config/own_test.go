package config

import (
	"slices"
	"strings"
	"testing"
)

// What is declared is a protocol like any other, and is asked like all unless the
// policy says on which.
func TestOwnProtocols(t *testing.T) {
	const text = "[policy]\nown_protocols = ['vpn', 'x-2go']\nsessions = { vpn = '1d' }\n[services]\nopenvpn = 'vpn'\n"
	settings, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := append(AllProtocols(), "vpn", "x-2go")
	if got := settings.Policy.Protocols; !slices.Equal(got, want) {
		t.Errorf("asked on %v", got)
	}
	if got := settings.Policy.AllProtocols(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if settings.Services["openvpn"] != "vpn" || settings.Policy.SessionFor("vpn") == 0 || settings.Policy.SessionFor("login") != 0 {
		t.Errorf("%+v", settings)
	}
	for _, name := range []string{"vpn", "ssh"} {
		if got, err := settings.Policy.Protocol(name); got != Protocol(name) || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"vnp", "", "VPN", "vpn "} {
		if got, err := settings.Policy.Protocol(name); got != "" || err == nil || !strings.Contains(err.Error(), "login, vpn, x-2go; policy.own_protocols") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	some, err := Parse("f", []byte("[policy]\nown_protocols = ['vpn']\nprotocols = ['ssh']\n"))
	if err != nil || !slices.Equal(some.Policy.Protocols, []Protocol{"ssh"}) {
		t.Errorf("%v, %v", some.Policy.Protocols, err)
	}
}
