package config

import (
	"strings"
	"testing"
	"time"
)

const aKey = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

func TestRemote(t *testing.T) {
	const text = "[remote]\nservers = ['otp1.example.com:9152', '192.0.2.1:9152', '[2001:db8::1]:9152']\nserver_keys = ['" + aKey + "']\n[policy]\nexempt = ['backup']\ntrusted_networks = ['10.0.0.0/8']\nown_protocols = ['vpn']\n[services]\nopenvpn = 'vpn'\n"
	settings, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if r := settings.Remote; len(r.Servers) != 3 || r.ServerKeys[0].String() != aKey || r.Key != "/etc/otpgate/secrets/client.key" || r.Timeout.Duration != 3*time.Second || settings.Gateway != nil {
		t.Errorf("%+v", settings.Remote)
	}
}

func TestGateway(t *testing.T) {
	settings, err := Parse("f", []byte("[gateway]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if g := settings.Gateway; len(g.Listen) != 1 || g.Listen[0] != ":9152" || g.User != "otpgate-gateway" || g.Clients != "/etc/otpgate/clients" || g.Key != "/etc/otpgate/gateway/gateway.key" || settings.Remote != nil {
		t.Errorf("%+v", g)
	}
	settings, err = Parse("f", []byte("[gateway]\nlisten = ['192.0.2.1:1', '[::1]:2']\n"))
	if err != nil || len(settings.Gateway.Listen) != 2 {
		t.Errorf("%+v, %v", settings.Gateway, err)
	}
	settings, err = Parse("f", []byte("[gateway]\ndial = ['dmz1.example.com:9153', '192.0.2.7:9153']\n"))
	if err != nil || len(settings.Gateway.Dial) != 2 || len(settings.Gateway.Listen) != 0 {
		t.Errorf("a server that dials alone: %+v, %v", settings.Gateway, err)
	}
	settings, err = Parse("f", []byte("[gateway]\nlisten = [':9152']\ndial = ['dmz1:9153']\n"))
	if err != nil || len(settings.Gateway.Dial) != 1 || len(settings.Gateway.Listen) != 1 {
		t.Errorf("a server that does both: %+v, %v", settings.Gateway, err)
	}
	if plain := Default(); plain.Remote != nil || plain.Gateway != nil {
		t.Error("a machine without a file is a client or a server")
	}
}

// A client to which servers connect need not name any, and may.
func TestRemoteListen(t *testing.T) {
	const keys = "server_keys = ['" + aKey + "']\n"
	settings, err := Parse("f", []byte("[remote]\nlisten = [':9153', '[2001:db8::1]:9153']\n"+keys))
	if err != nil {
		t.Fatal(err)
	}
	if r := settings.Remote; len(r.Servers) != 0 || len(r.Listen) != 2 {
		t.Errorf("%+v", r)
	}
	if _, err := Parse("f", []byte("[remote]\nservers = ['h:1']\nlisten = ['192.0.2.1:9153']\n"+keys)); err != nil {
		t.Error(err)
	}
}

func TestRemoteRefuses(t *testing.T) {
	const client = "[remote]\nservers = ['h:1']\nserver_keys = ['" + aKey + "']\n"
	for text, want := range map[string]string{
		"[remote]\n":                         "f:1: remote.servers: expected the servers' addresses",
		"[remote]\nservers = ['h']\n":        "f:2: remote.servers: expected a host name or an address and a port",
		"[remote]\nservers = ['h:0']\n":      "f:2: remote.servers",
		"[remote]\nservers = ['::1:9152']\n": "f:2: remote.servers",
		"[remote]\nservers = ['[h]:9152']\n": "f:2: remote.servers",
		"[remote]\nservers = [':9152']\n":    "f:2: remote.servers",
		"[remote]\nservers = ['h:1', 'h:1']\nserver_keys = ['" + aKey + "']\n":       "h:1 is there twice",
		"[remote]\nservers = ['h:1']\n":                                              "f:1: remote.server_keys: expected the servers' keys",
		"[remote]\nserver_keys = ['AAAA']\n":                                         "expected a key as otpctl client key prints it",
		"[remote]\nserver_keys = ['47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=']\n": "expected a key as",
		"[remote]\nlisten = []\nserver_keys = ['" + aKey + "']\n":                    "f:2: remote.listen: expected an address and a port",
		"[remote]\nlisten = ['dmz1:9153']\n":                                         "f:2: remote.listen: expected an address and a port, such as \":9153\" or \"192.0.2.1:9153\"",
		"[remote]\nlisten = [':9153']\n":                                             "f:1: remote.server_keys: expected the servers' keys",
		client + "listen = [':0']\n":                                                 "f:4: remote.listen",
		client + "dial = ['h:1']\n":                                                  "f:4: remote.dial: unknown key",
		client + "key = 'k'\n":                                                       "remote.key: expected an absolute path",
		client + "timeout = '0s'\n":                                                  "remote.timeout: expected",
		client + "timeout = '2m'\n":                                                  "remote.timeout: expected",
		client + "time = '2m'\n":                                                     "unknown key",
		client + "[policy]\nrequire = ['@all']\n":                                    "f:5: policy.require: the servers of [remote] decide that",
		client + "[policy.attempts]\nper_login = 3\n":                                "policy.attempts: the servers",
		"policy.session = '1d'\n" + client:                                           "f:1: policy.session: the servers",
		client + "[sms]\nurl = 'https://h/'\nbody = 'x'\n":                           "the servers of [remote] do that",
		client + "[gateway]\n":                                                       "f:4: gateway: the servers",
		client + "[totp]\nissuer = 'x'\n":                                            "f:4: totp: the servers",
		"[gateway]\nlisten = ['h:1']\n":                                              "f:2: gateway.listen: expected an address and a port",
		"[gateway]\nlisten = ['9152']\n":                                             "gateway.listen",
		"[gateway]\ndial = []\n":                                                     "f:2: gateway.dial: the list is empty",
		"[gateway]\ndial = [':9153']\n":                                              "f:2: gateway.dial: expected a host name or an address and a port, such as \"dmz1.example.com:9153\"",
		"[gateway]\ndial = ['h:1', 'h:1']\n":                                         "f:2: gateway.dial: h:1 is there twice",
		"[gateway]\nuser = 'root'\n":                                                 "f:2: gateway.user: expected the name of a user of its own",
		"[gateway]\nclients = 'c'\n":                                                 "gateway.clients: expected an absolute path",
		"[gateway]\nkey = 'c'\n":                                                     "gateway.key: expected an absolute path",
	} {
		if _, err := Parse("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}
