package config

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Remote makes this machine a client: servers decide its logins, and hold the
// secret files and the ledger. What remains to be decided here is who is never
// asked: policy.exempt and policy.trusted_networks.
type Remote struct {
	// Servers are host names or addresses with a port, such as
	// "otp1.example.com:9152". They are asked in this order, the one that answered
	// last before the others. All must share one ledger. Leave it out if servers
	// connect to this machine alone: see listen.
	Servers []string `toml:"servers"`
	// Listen are addresses and ports to which servers connect that have this machine
	// in gateway.dial; "" before the colon is every address. Without it nobody
	// connects to this machine.
	Listen []string `toml:"listen"`
	// ServerKeys are the servers' keys, as otpctl client key prints them there: of
	// each server one, or two while it gets another key.
	ServerKeys []KeyHash `toml:"server_keys"`
	// Key is the file of this machine's own key, which otpctl client init makes.
	Key string `toml:"key"`
	// Timeout is how long a server is looked for that takes a login, "1s" to "1m".
	// If there is none, the login is denied.
	Timeout Duration `toml:"timeout"`
}

// Gateway makes this machine a server: otpgate-gateway listens, or dials clients, and
// the verifier decides their logins.
type Gateway struct {
	// Listen are addresses and ports; "" before the colon is every address. Without it
	// and with dial, the gateway does not listen.
	Listen []string `toml:"listen"`
	// Dial are clients that can open no connection to this machine, by host name or
	// address, and the port of their remote.listen: "dmz1.example.com:9153". The
	// gateway keeps connections to them open.
	Dial []string `toml:"dial"`
	// Key is the file of this machine's key, which otpctl client init makes.
	Key string `toml:"key"`
	// Clients is the directory of the clients' files, NAME.toml each.
	Clients string `toml:"clients"`
	// User is whom the gateway runs as, and the only one whom the verifier believes
	// which client asks.
	User string `toml:"user"`
}

// DefaultRemoteKey is where a client's key is unless its configuration says otherwise.
const DefaultRemoteKey = "/etc/otpgate/secrets/client.key"

// UsesBreakGlass says whether what decides this machine's logins is on others, so that
// people can be left with break-glass codes alone.
func (c Config) UsesBreakGlass() bool { return c.Remote != nil || c.Ledger != nil }

func defaultRemote() *Remote {
	return &Remote{Key: DefaultRemoteKey, Timeout: Duration{3 * time.Second}}
}

func defaultGateway() *Gateway {
	return &Gateway{Key: "/etc/otpgate/gateway/gateway.key", Clients: "/etc/otpgate/clients", User: "otpgate-gateway"}
}

var defaultGatewayListen = []string{":9152"}

// KeyHash is the SHA-256 of a public key in the form of RFC 5280
// (SubjectPublicKeyInfo). Its text is base64.
type KeyHash [sha256.Size]byte

func (k KeyHash) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// MarshalText writes the text form.
func (k KeyHash) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the text form.
func (k *KeyHash) UnmarshalText(text []byte) error {
	hash, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(hash) != len(k) {
		return errors.New("expected a key as otpctl client key prints it, 44 characters that end in =")
	}
	copy(k[:], hash)
	return nil
}

// check returns the first problem and the key it is at, or "".
func (r *Remote) check() (problem string, key []string) {
	if r == nil {
		return "", nil
	}
	if len(r.Servers) == 0 && r.Listen == nil {
		return `expected the servers' addresses, such as ["otp1.example.com:9152"], or listen where servers connect to this machine`, []string{"servers"}
	}
	if problem := checkMachines(r.Servers, "otp1.example.com:9152"); problem != "" {
		return problem, []string{"servers"}
	}
	if problem := checkListen(r.Listen, ":9153"); problem != "" {
		return problem, []string{"listen"}
	}
	switch {
	case r.Listen != nil && len(r.Listen) == 0:
		return `expected an address and a port, such as ":9153"; take the line out if no server connects to this machine`, []string{"listen"}
	case len(r.ServerKeys) == 0:
		return "expected the servers' keys, as otpctl client key prints them there", []string{"server_keys"}
	case !filepath.IsAbs(r.Key):
		return "expected an absolute path", []string{"key"}
	case !within(int(r.Timeout.Duration), int(time.Second), int(time.Minute)):
		return `expected "1s" to "1m"`, []string{"timeout"}
	}
	return "", nil
}

// checkMachines finds what is wrong with machines to connect to.
func checkMachines(machines []string, sample string) (problem string) {
	for i, machine := range machines {
		host, port, found := cutPort(machine)
		if !found || port == 0 || !validHost(host) {
			return fmt.Sprintf("expected a host name or an address and a port, such as %q", sample)
		}
		if slices.Contains(machines[:i], machine) {
			return machine + " is there twice"
		}
	}
	return ""
}

// checkListen finds what is wrong with where to listen.
func checkListen(addresses []string, sample string) (problem string) {
	for _, address := range addresses {
		host, port, found := cutPort(address)
		if _, err := netip.ParseAddr(host); !found || port == 0 || host != "" && err != nil {
			return fmt.Sprintf("expected an address and a port, such as %q or %q", sample, "192.0.2.1"+sample)
		}
	}
	return ""
}

// cutPort divides an address as net.SplitHostPort does, which the core must not
// link.
func cutPort(address string) (host string, port uint16, found bool) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(address[i+1:], 10, 16)
	host = address[:i]
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		host, found = strings.CutSuffix(inner, "]")
		return host, uint16(n), found && err == nil && strings.Contains(host, ":")
	}
	return host, uint16(n), err == nil && !strings.Contains(host, ":")
}

// check returns the first problem and the key it is at, or "".
func (g *Gateway) check() (problem string, key []string) {
	if g == nil {
		return "", nil
	}
	if problem := checkListen(g.Listen, ":9152"); problem != "" {
		return problem, []string{"listen"}
	}
	if problem := checkMachines(g.Dial, "dmz1.example.com:9153"); problem != "" {
		return problem, []string{"dial"}
	}
	switch {
	case g.Dial != nil && len(g.Dial) == 0:
		return "the list is empty; take the line out if this machine dials no client", []string{"dial"}
	case !filepath.IsAbs(g.Key):
		return "expected an absolute path", []string{"key"}
	case !filepath.IsAbs(g.Clients):
		return "expected an absolute path", []string{"clients"}
	case g.User == "" || g.User == "root":
		return "expected the name of a user of its own, not root", []string{"user"}
	}
	return unprintable(g.User), []string{"user"}
}

// onClients are the keys of policy that hold on a client; on its servers the others
// do.
var onClients = []string{"exempt", "trusted_networks", "own_protocols"}

// notOnClients are tables about what servers do.
var notOnClients = []string{"email", "gateway", "hotp", "ledger", "portal", "sent", "sms", "totp"}

// checkClient finds what has no effect on a client, as it would look as if it had.
func (c Config) checkClient(data []byte) (problem string, key []string) {
	if c.Remote == nil {
		return "", nil
	}
	var has map[string]any
	_ = toml.Unmarshal(data, &has) // it was decoded before
	policy, _ := has["policy"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(policy)) {
		if !slices.Contains(onClients, name) {
			return fmt.Sprintf("the servers of [remote] decide that; move it to their configuration. Here policy has %s alone", strings.Join(onClients, ", ")), []string{"policy", name}
		}
	}
	for _, name := range notOnClients {
		if _, there := has[name]; there {
			return "the servers of [remote] do that; move the table to their configuration", []string{name}
		}
	}
	return "", nil
}
