package machine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/otpgate/otpgate/e2e/network"
	"github.com/otpgate/otpgate/internal/clients"
)

// gatewayUser is whom gateways run as, as the package makes it.
const gatewayUser = "otpgate-gateway"

// Server is a site whose verifier decides for clients, by way of a gateway.
type Server struct {
	Site
	// Address is where the gateway listens, and Key what clients list of it.
	Address, Key string
	Gateway      *Gateway
	serverOptions
}

// serverOptions are what a server has of others, or in place of the usual.
type serverOptions struct {
	// dials are the clients that the gateway dials, where it listens nowhere.
	dials []string
	// key is the machine's, where it has one already.
	key machineKey
	// clients is the directory of the clients' files.
	clients string
}

// machineKey is a machine's key: the file, and what other machines list of it.
type machineKey struct{ file, listed string }

// Client says how a machine asks its servers.
type Client struct {
	// Timeout is remote.timeout; none is long, for busy machines.
	Timeout string
	// Policy is what the client's configuration has besides.
	Policy string
	// May are flags of otpctl client add, on each server.
	May []string
	// Change, if set, changes its file on each server after that.
	Change func(*clients.Client)
	// Through has the client dial these addresses in place of the servers'.
	Through []string
	// Keys are the servers' keys in place of the right ones.
	Keys []string
	// Listen is where servers connect to it, "" where none does.
	Listen string
	// As is what the servers call it; without it as the site is called.
	As string
	// key is the machine's, where it has one already.
	key machineKey
}

var gateways, nodes atomic.Int32

// NodeAddress is one at which a client can listen for its servers.
func NodeAddress() string { return fmt.Sprintf("127.0.0.1:%d", 13000+nodes.Add(1)) }

// NewServer makes a site that is a server, its configuration text, and starts its
// verifier and its gateway. Both are killed with t. A server that shares another's
// ledger and secret files is made by NewTwinIn.
func NewServer(t T, name, text string) *Server {
	t.Helper()
	return NewServerIn(t, nil, name, text)
}

// NewServerIn makes a server in a network namespace.
func NewServerIn(t T, in *network.Namespace, name, text string) *Server {
	t.Helper()
	site := NewSite(t, name, "")
	site.In = in
	return startServer(t, site, text, serverOptions{})
}

// NewServerThatDials is NewServerIn for one that listens nowhere: its gateway dials the
// clients at these addresses. It has the ledger and the secret files of other, if that is
// not nil.
func NewServerThatDials(t T, in *network.Namespace, other *Server, name, text string, clients ...string) *Server {
	t.Helper()
	site := NewSite(t, name, "")
	if site.In = in; other != nil {
		site.Users, site.State = other.Users, other.State
	}
	return startServer(t, site, text, serverOptions{dials: clients})
}

// NewTwinIn makes a server with the ledger and the secret files of another one, as two
// machines with one disk have them.
func NewTwinIn(t T, in *network.Namespace, other *Server, name, text string) *Server {
	t.Helper()
	site := NewSite(t, name, "")
	site.Users, site.State, site.In = other.Users, other.State, in
	return startServer(t, site, text, serverOptions{})
}

func startServer(t T, site Site, text string, options serverOptions) *Server {
	t.Helper()
	addGatewayUser(t)
	dir := filepath.Dir(site.Config)
	options.clients = cmp.Or(options.clients, dir+"/clients")
	address := "127.0.0.1"
	if site.In != nil {
		address = site.In.Address
	}
	s := &Server{Site: site, serverOptions: options}
	reached := fmt.Sprintf("dial = [\"%s\"]", strings.Join(options.dials, `", "`))
	if len(options.dials) == 0 {
		s.Address = fmt.Sprintf("%s:%d", address, 12000+gateways.Add(1))
		reached = fmt.Sprintf("listen = [%q]", s.Address)
	}
	s.more += fmt.Sprintf("\n[gateway]\n%s\nkey = %q\nclients = %q\n", reached, cmp.Or(options.key.file, dir+"/gateway/gateway.key"), options.clients)
	s.Configure(t, text)
	if s.Key = options.key.listed; s.Key == "" {
		s.Key = strings.TrimSpace(otpctl(t, s.Site, "client", "init"))
	}
	s.Path = Resident
	s.StartVerifier(t)
	s.StartGateway(t)
	return s
}

var addGatewayUser = func() func(T) {
	var once sync.Once
	return func(t T) {
		t.Helper()
		once.Do(func() {
			// Tests of the page's user have it made in the same way.
			Account(t, "", "systemd-sysusers", Files+"/systemd/sysusers.d/otpgate.conf")
		})
	}
}()

// otpctl runs the command for a site, and returns its answer.
func otpctl(t T, site Site, args ...string) string {
	t.Helper()
	output, err := exec.Command(Files+"/otpctl", append([]string{"--config", site.Config}, args...)...).Output()
	if err != nil {
		detail := ""
		if exit, ok := err.(*exec.ExitError); ok {
			detail = string(exit.Stderr)
		}
		t.Fatalf("otpctl %q: %v: %s", args, err, detail)
	}
	return string(output)
}

// NewClient makes a machine whose logins the servers decide, and starts its verifier.
// The site's secret files and ledger are those of the first server.
func NewClient(t T, name string, how Client, servers ...*Server) Site {
	t.Helper()
	return NewClientIn(t, nil, name, how, servers...)
}

// NewClientIn makes a client in a network namespace.
func NewClientIn(t T, in *network.Namespace, name string, how Client, servers ...*Server) Site {
	t.Helper()
	site := NewSite(t, name, "")
	site.In = in
	site.more = ClientSettings(filepath.Dir(site.Config), how, servers...)
	site.Configure(t, how.Policy)
	key := how.key.listed
	if key == "" {
		key = strings.TrimSpace(otpctl(t, site, "client", "init"))
	}
	known := map[string]bool{}
	for _, server := range servers {
		if known[server.clients] || len(how.May) == 1 && how.May[0] == "nothing" {
			continue
		}
		known[server.clients] = true
		otpctl(t, server.Site, append([]string{"client", "add", cmp.Or(how.As, name), key}, how.May...)...)
		if how.Change != nil {
			server.changeClient(t, cmp.Or(how.As, name), how.Change)
		}
	}
	site.Path = Resident
	site.Verifier = StartVerifier(t, site, VerifierOptions{})
	return site
}

// changeClient writes the file of a client anew.
func (s *Server) changeClient(t T, name string, change func(*clients.Client)) {
	t.Helper()
	client, err := clients.Load(s.clients, name)
	if err == nil {
		change(&client)
		err = clients.Save(s.clients, client)
	}
	if err != nil {
		t.Fatalf("change what %s may: %v", name, err)
	}
}

// breakGlass is the directory of the site's files with break-glass codes.
func (s Site) breakGlass() string { return filepath.Join(filepath.Dir(s.Config), "break-glass") }

// BreakGlass gives the person, who must be a user of the machine, break-glass codes on a
// client, and returns them.
func (p *Person) BreakGlass(t T, client Site) []string {
	t.Helper()
	var made struct{ Codes []string }
	if err := json.Unmarshal([]byte(otpctl(t, client, "break-glass", p.Name, "--json")), &made); err != nil || len(made.Codes) == 0 {
		t.Fatalf("break-glass codes of %s: %v", p.Name, err)
	}
	Keep(made.Codes...)
	return made.Codes
}

// BreakGlassFile is where their hashes are.
func (p *Person) BreakGlassFile(client Site) string {
	return filepath.Join(client.breakGlass(), p.Name+".toml")
}

// ClientSettings are the table [remote] of a client whose directory that is.
func ClientSettings(dir string, how Client, servers ...*Server) string {
	if how.Timeout == "" {
		how.Timeout = "1m"
	}
	addresses, keys := how.Through, how.Keys
	for _, server := range servers {
		if len(how.Through) == 0 && server.Address != "" {
			addresses = append(addresses, server.Address)
		}
		if len(how.Keys) == 0 {
			keys = append(keys, server.Key)
		}
	}
	reached := ""
	if len(addresses) > 0 {
		reached = fmt.Sprintf("servers = [\"%s\"]\n", strings.Join(addresses, `", "`))
	}
	if how.Listen != "" {
		reached += fmt.Sprintf("listen = [%q]\n", how.Listen)
	}
	return fmt.Sprintf("\n[remote]\n%sserver_keys = [\"%s\"]\nkey = %q\ntimeout = %q\n",
		reached, strings.Join(keys, `", "`), cmp.Or(how.key.file, dir+"/client.key"), how.Timeout)
}

// Unread says whether the gateway has got something that it has not read, as one that
// is stopped has, also where whoever sent it has turned to another server meanwhile: see
// proc_net_tcp(5).
func (s *Server) Unread(t T) bool {
	t.Helper()
	side, address := 1, s.Address
	if len(s.dials) > 0 { // the port is then the client's
		side, address = 2, s.dials[0]
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatalf("address of the gateway: %v", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatalf("port of the gateway: %v", err)
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", s.Gateway.PID()))
	if err != nil {
		t.Fatalf("connections: %v", err)
	}
	for line := range strings.Lines(string(table)) {
		// Its number, the two addresses, the state, and what is not sent and not read.
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasSuffix(fields[side], fmt.Sprintf(":%04X", number)) && hasUnread(fields[3], fields[4]) {
			return true
		}
	}
	return false
}

// hasUnread says so of a connection in that state of proc_net_tcp(5). The other side's
// end counts as one byte that is not read.
func hasUnread(state, queues string) bool {
	const established, closedByTheOther = "01", "08"
	_, unread, _ := strings.Cut(queues, ":")
	return state == established && unread != "00000000" || state == closedByTheOther && unread > "00000001"
}
