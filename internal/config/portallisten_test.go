package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestPortalListens(t *testing.T) {
	const url = "[portal]\nurl = 'https://h'\n"
	for _, text := range []string{
		"", "listen = 'unix:/run/x.sock'\nproxies = ['192.0.2.1']", "listen = '127.0.0.1:8080'\nproxies = ['127.0.0.1/32']", "listen = '[::1]:8080'\nproxies = ['::1']",
		"listen = ':443'\ncertificate_file = '/c'\nkey_file = '/k'", "listen = '192.0.2.1:443'\ncertificate_file = '/c'\nkey_file = '/k'",
	} {
		settings, err := Parse("f", []byte(url+text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if text == "" && settings.Portal.Listen != "unix:/run/otpgate-portal/http.sock" {
			t.Errorf("it listens at %q", settings.Portal.Listen)
		}
	}
	settings, err := Parse("f", []byte(url+"proxies = ['192.0.2.0/24']"))
	if err != nil || !settings.Portal.Proxies[0].Contains(netip.MustParseAddr("192.0.2.7")) {
		t.Errorf("%v, %v", settings.Portal, err)
	}
	for _, test := range []struct{ text, want string }{
		{"listen = ''", `:3: portal.listen: expected "unix:" and an absolute path, or an address and a port`},
		{"listen = 'unix:x.sock'", ":3: portal.listen: "},
		{"listen = 'localhost:8080'", ":3: portal.listen: "},
		{"listen = ':0'", ":3: portal.listen: "},
		{"listen = ':443'", ":3: portal.listen: expected a certificate"},
		{"listen = '127.0.0.1:8080'", `:3: portal.listen: expected proxies = ["127.0.0.1/32"]`},
		{"listen = '192.0.2.1:8080'\nproxies = ['192.0.2.2']", ":3: portal.listen: expected a certificate"},
		{"listen = ':443'\ncertificate_file = '/c'", ":4: portal.certificate_file: expected certificate_file and key_file"},
		{"listen = ':443'\nkey_file = '/k'", "portal.certificate_file: expected certificate_file and key_file"},
		{"listen = ':443'\ncertificate_file = 'c'\nkey_file = '/k'", ":4: portal.certificate_file: expected an absolute path"},
		{"certificate_file = '/c'\nkey_file = '/k'", ":4: portal.key_file: expected no file"},
		{"proxies = ['proxy.example.com']", ":3: portal.proxies"},
	} {
		if _, err := Parse("f", []byte(url+test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q:\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}
