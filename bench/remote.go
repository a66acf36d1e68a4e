package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/otpgate/otpgate/internal/clients"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/pinned"
)

const (
	gatewayFile = "otpgate-gateway"
	// gatewayUser is somebody without rights whom every machine has.
	gatewayUser = "daemon"

	remoteLabel  = "otpgate, by a server"
	distantLabel = "otpgate, by one 20 ms off"
)

// remote is a server and its gateway. All lies in memory but secret files and ledger,
// which are those of a site: the directory of that is root's alone, and the gateway
// has to read the configuration.
type remote struct {
	site, dir string
	listener  *net.TCPListener
	server    config.KeyHash
	ledger    *lone
}

const remoteDir = memory + "/remote"

// newRemote makes a server with one person.
func newRemote(n int, m model) (*remote, error) {
	r := &remote{site: "remote-server", dir: remoteDir}
	own, err := residentAlone(r.site, sites+"/"+r.site+"/state", n, m)
	if err != nil {
		return nil, err
	}
	r.ledger = own.alone
	if err := os.MkdirAll(r.dir+"/clients", 0o755); err != nil {
		return nil, err
	}
	key, hash, err := newRemoteKey(r.dir + "/gateway.key")
	if err != nil {
		return nil, err
	}
	r.server = hash
	paths, err := os.ReadFile(configOf(r.site))
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%s[gateway]\nuser = %q\nkey = %q\nclients = %q\n", paths, gatewayUser, key, r.dir+"/clients")
	for _, words := range [][]string{{"chown", gatewayUser, key}, {"cp", disk + "/" + gatewayFile, r.dir}} {
		if err := command(words[0], words[1:]...); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(r.config(), []byte(text), 0o644); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the gateway: %w", err)
	}
	r.listener = listener.(*net.TCPListener)
	return r, nil
}

func (r *remote) config() string { return r.dir + "/otpgate.toml" }

func newRemoteKey(path string) (string, config.KeyHash, error) {
	text, err := pinned.NewKey()
	if err != nil {
		return "", config.KeyHash{}, err
	}
	key, err := pinned.ParseKey(text)
	if err != nil {
		return "", config.KeyHash{}, err
	}
	return path, key.Hash, os.WriteFile(path, text, 0o600)
}

// client makes a client that reaches the server at an address. Its logins are those of
// the server's person.
func (r *remote) client(name, label, address string, n int) (*side, error) {
	if _, err := otpgateSite(name, realCore, memory+"/"+name); err != nil {
		return nil, err
	}
	key, hash, err := newRemoteKey(filepath.Join(sites, name, "client.key"))
	if err != nil {
		return nil, err
	}
	may := clients.Default()
	may.Client, may.Keys, may.PerMinute = name, []config.KeyHash{hash}, 100_000
	if err := clients.Save(r.dir+"/clients", may); err != nil {
		return nil, err
	}
	paths, err := os.ReadFile(configOf(name))
	if err != nil {
		return nil, err
	}
	// A busy machine has time to start the gateway; a server is not waited for otherwise.
	text := fmt.Sprintf("%s[remote]\nservers = [%q]\nserver_keys = [%q]\nkey = %q\ntimeout = \"1m\"\n", paths, address, r.server, key)
	if err := write(configOf(name), text); err != nil {
		return nil, err
	}
	through, err := residentService(name)
	if err != nil {
		return nil, err
	}
	s := &side{label: label, every: 1, alone: r.ledger}
	for range n {
		s.people = append(s.people, &person{service: through, name: "alone"})
	}
	return s, nil
}

// gateway is the command that runs the server's gateway at the socket that it is
// given, as systemd does it: see sd_listen_fds(3).
func (r *remote) gateway() (*exec.Cmd, error) {
	file, err := r.listener.File()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("nice", "-n", "-15", "setpriv", "--reuid", gatewayUser, "--regid", gatewayUser, "--clear-groups",
		"sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh", r.dir+"/"+gatewayFile, "--config", r.config())
	cmd.ExtraFiles = []*os.File{file}
	return cmd, nil
}
