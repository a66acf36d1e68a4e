package machine

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/otpgate/otpgate/e2e/network"
)

// Fleet is two servers that share a ledger, and three clients of both, each with a network
// namespace of its own. The network, and the processes, are all that each has for itself:
// the disk, /etc/pam.d, the users and the system's log are those of the machine of the
// tests. So the servers read the secret files of a site, and its clients' files, in one
// directory each, as two that mount it do. So they have the ledger, unless a test wants it
// in etcd, which is reached by the network: then each has a state directory of its own.
//
// Each site in it has configurations, verifiers and gateways of its own there, so that
// tests configure what they like and go on beside each other. Keys are the machines'.
type Fleet struct {
	servers [2]*network.Namespace
	clients [3]*network.Namespace
	// keys are those of the servers, then of the clients.
	keys [5]machineKey
	// ledgers are each server's table [ledger], and ledgerds the sockets in them.
	ledgers, ledgerds [2]string
	// These count the sites of the path Remote, those that may be anywhere, and what
	// servers call clients.
	sites, placed, known atomic.Int32
}

// RemoteFleet gives the fleet that has the sites of the path Remote. Who uses that path
// sets it.
var RemoteFleet func(T) *Fleet

// NewFleet makes a fleet, which is gone with t. ledger starts etcd in a namespace of its
// own, and says what the table [ledger] of a server has for it. The socket is added.
func NewFleet(t T, ledger func(place *network.Namespace) (table func(server string) string)) *Fleet {
	t.Helper()
	joined := network.New(t)
	joined.JoinMachine(t)
	f := &Fleet{}
	for i := range f.servers {
		f.servers[i] = joined.NewNamespace(t)
	}
	for i := range f.clients {
		f.clients[i] = joined.NewNamespace(t)
	}
	ledgers := joined.NewNamespace(t)
	if t.Failed() {
		t.Fatalf("the network of the fleet is not whole") // etcd would never be ready
	}
	table := ledger(ledgers)
	addGatewayUser(t)
	for i, place := range f.servers {
		name := fmt.Sprintf("fleet-server%d", i+1)
		site := NewSite(t, name, "")
		site.In = place
		f.ledgerds[i] = site.Ledger()
		f.ledgers[i] = fmt.Sprintf("\n%ssocket = %q\n", table(name), f.ledgerds[i])
		f.keys[i] = site.makeKey(t, f.ledgers[i]+"[gateway]\nlisten = [\":9152\"]\n", "gateway/gateway.key")
		StartLedgerd(t, site)
	}
	for i := range f.clients {
		site := NewSite(t, fmt.Sprintf("fleet-client%d", i+1), "")
		f.keys[len(f.servers)+i] = site.makeKey(t, "[remote]\nservers = [\"192.0.2.1:9152\"]\nserver_keys = [\""+f.keys[0].listed+"\"]\n", "client.key")
	}
	return f
}

// makeKey configures the site and makes its machine's key, which is the last table's.
func (s Site) makeKey(t T, text, name string) machineKey {
	t.Helper()
	file := filepath.Join(filepath.Dir(s.Config), name)
	s.Configure(t, text+fmt.Sprintf("key = %q\n", file))
	return machineKey{file, strings.TrimSpace(otpctl(t, s, "client", "init"))}
}

// NewServers makes a site on both servers, with one directory of secret files and one of
// the ledger's, and starts its verifiers and gateways. All are killed with t. A
// server takes no login if its ledger does not answer in five seconds, or its verifier in
// ten, and one in etcd is asked by way of two more processes.
func (f *Fleet) NewServers(t T, name, text string) (servers [2]*Server) {
	t.Helper()
	return f.newServers(t, name, text, false)
}

// NewSharers is NewServers with the ledger in etcd, and two directories for what is not
// there.
func (f *Fleet) NewSharers(t T, name, text string) (servers [2]*Server) {
	t.Helper()
	return f.newServers(t, name, text, true)
}

func (f *Fleet) newServers(t T, name, text string, etcd bool) (servers [2]*Server) {
	t.Helper()
	for i, place := range f.servers {
		site := NewSite(t, fmt.Sprintf("%s-server%d", name, i+1), "")
		site.In = place
		if etcd {
			site.more, site.ledgerd = f.ledgers[i], f.ledgerds[i]
		}
		options := serverOptions{key: f.keys[i]}
		if i > 0 {
			site.Users, options.clients = servers[0].Users, servers[0].clients
			if !etcd {
				site.State = servers[0].State
			}
		}
		servers[i] = startServer(t, site, text, options)
	}
	return servers
}

// NewClient makes a site on the client of that number, from 0, and starts its verifier. It
// asks the servers in this order. They count what it does under a name of its own, as
// their ledger is the same when a test is run again.
func (f *Fleet) NewClient(t T, number int, name string, how Client, servers ...*Server) Site {
	t.Helper()
	how.As, how.key = fmt.Sprintf("%s-%d", name, f.known.Add(1)), f.keys[len(f.servers)+number]
	return NewClientIn(t, f.clients[number], name, how, servers...)
}

// NewSiteBeside is Path.NewSite for another site on the same machine, where one program
// has the PAM services of both.
func (s Site) NewSiteBeside(t T, name, text string) Site {
	t.Helper()
	if s.Path != Remote {
		return s.Path.NewSite(t, name, text)
	}
	f := RemoteFleet(t)
	return f.newSiteAt(t, slices.Index(f.clients[:], s.In), name+"-remote", text)
}

// newSite is a site whose logins servers of its own decide. What a test configures there
// is theirs. One after the other is on another client.
func (f *Fleet) newSite(t T, name, text string) Site {
	t.Helper()
	return f.newSiteAt(t, int(f.placed.Add(1))%len(f.clients), name, text)
}

// newSiteAt is newSite on the client of that number. Three sites in a row turn to one
// server first, the next three to the other.
func (f *Fleet) newSiteAt(t T, number int, name, text string) Site {
	t.Helper()
	servers := f.NewServers(t, name, "")
	asked := slices.Clone(servers[:])
	if int(f.sites.Add(1))/len(f.clients)%len(servers) > 0 {
		slices.Reverse(asked)
	}
	site := f.NewClient(t, number, name, Client{May: []string{"--enroll"}}, asked...)
	site.own = site.paths()
	site.Users, site.State, site.servers = servers[0].Users, servers[0].State, servers[:]
	site.Path = Remote
	site.Configure(t, text)
	return site
}
