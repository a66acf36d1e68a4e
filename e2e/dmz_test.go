package e2e

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
)

// newNode is a client that can open no connection to its server, which listens nowhere
// and dials it.
func newNode(t *testing.T, name, text string, how machine.Client) (server *machine.Server, node machine.Site) {
	t.Helper()
	if how.Listen == "" {
		how.Listen = machine.NodeAddress()
	}
	server = machine.NewServerThatDials(t, nil, nil, name+"-s", text, how.Listen)
	node = machine.NewClient(t, name, how, server)
	node.CodeOnly(t, name, "protocol=ssh")
	return server, node
}

// Logins at the real sshd of such a node are decided by its server, whichever of the two
// is started again.
func TestDMZ(t *testing.T) {
	t.Parallel()
	address := machine.NodeAddress()
	server := machine.NewServerThatDials(t, nil, nil, "dmz-s", "[totp]\nwindow = 3\n", address)
	node := machine.NewClient(t, "dmz", machine.Client{Listen: address, May: []string{"--from=127.0.0.1"}}, server)
	sshd := startSSHD(t, node)
	in := func(what string) {
		t.Helper()
		p := machine.NewPerson(t, "dmz").Enroll(t, server.Users)
		t.Log(what)
		expectIn(t, p, sshd.Login(t, p, answers(p, p.Code(t, 0)), hosts.OwnKeyExchange), 1)
		machine.Log.Expect(t, "user="+p.Name+" ", "client=dmz", "verdict=accepted", "rule=totp:phone", "remote="+p.Address)
		machine.Log.Expect(t, "user="+p.Name+" ", "service="+node.Name+" ", "verdict=accepted", "rule=totp:phone", "server=127.0.0.1 ")
	}
	in("from the start")
	server.Gateway.Kill()
	server.StartGateway(t)
	in("after the server's gateway was killed")
	node.Verifier.Kill()
	node.Verifier = machine.StartVerifier(t, node, machine.VerifierOptions{})
	in("after the node's verifier was killed")
	server.Verifier.Kill()
	server.StartVerifier(t)
	in("after the server's verifier was killed")
	p := machine.NewPerson(t, "dmz").Enroll(t, server.Users)
	wrong := p.Wrong(t)
	expectOut(t, p, sshd.Login(t, p, answers(p, wrong, wrong, wrong)), 3)
}

// A code is good once, also on a node in the DMZ, and there for one of fifty.
func TestDMZOnce(t *testing.T) {
	t.Parallel()
	server, node := newNode(t, "dmz-once", manyGuesses, machine.Client{})
	p := machine.WithoutUser("dmz").Enroll(t, server.Users)
	code := p.Code(t, 0)
	if !remoteLogin(t, node, p, code) {
		t.Errorf("not in with the right code:\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
	if remoteLogin(t, node, p, code, code, code) {
		t.Error("in with a code that was used")
	}
	for range 5 {
		onceOfFifty(t, server.Site, "dmz-once")
	}
}

// A server that dials and hangs, or dies, costs nobody anything where there is another.
func TestDMZTwoServers(t *testing.T) {
	t.Parallel()
	address := machine.NodeAddress()
	first := machine.NewServerThatDials(t, nil, nil, "dmz-two-s1", "", address)
	second := machine.NewTwinIn(t, nil, first, "dmz-two-s2", "")
	node := machine.NewClient(t, "dmz-two", machine.Client{Listen: address}, first, second)
	node.CodeOnly(t, "dmz-two", "protocol=ssh")
	login := func(what, server string) {
		t.Helper()
		p := machine.WithoutUser("dmz").Enroll(t, first.Users)
		if !remoteLogin(t, node, p, p.Code(t, 0)) {
			t.Errorf("%s: not in:\n%s", what, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
		if server != "" {
			machine.Log.Expect(t, "user="+p.Name+" ", "service=dmz-two", "server="+server+" ")
		}
	}
	second.Gateway.Kill()
	login("one dials", "127.0.0.1")
	first.Gateway.Signal(t, syscall.SIGSTOP)
	second.StartGateway(t)
	login("it hangs, and the other is dialled", second.Address)
	first.Gateway.Signal(t, syscall.SIGCONT)
	second.Gateway.Kill()
	login("the other is dead", "127.0.0.1")
}

// A server that is cut off without a word is not waited for where another one dials too,
// and decides logins again once it is back. Each is a machine of its own.
func TestDMZCutOff(t *testing.T) {
	t.Parallel()
	lan := network.New(t)
	dmz, places := lan.NewNamespace(t), [2]*network.Namespace{lan.NewNamespace(t), lan.NewNamespace(t)}
	listen := dmz.Address + ":9153"
	var servers [2]*machine.Server
	for i, place := range places {
		servers[i] = machine.NewServerThatDials(t, place, servers[0], fmt.Sprintf("dmz-cut-s%d", i+1), "", listen)
	}
	node := machine.NewClientIn(t, dmz, "dmz-cut", machine.Client{Listen: listen}, servers[:]...)
	node.CodeOnly(t, "dmz-cut", "protocol=ssh")
	login := func(what string) (by int) {
		t.Helper()
		p := machine.WithoutUser("dmz").Enroll(t, servers[0].Users)
		if !remoteLogin(t, node, p, p.Code(t, 0)) {
			t.Fatalf("%s: not in:\n%s", what, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
		line := machine.Log.Expect(t, "user="+p.Name+" ", "service=dmz-cut ", "server=")
		if strings.Contains(line.Text, "server="+places[1].Address+" ") {
			return 1
		}
		return 0
	}
	first := login("both are well")
	other := 1 - first
	places[first].Cut(t)
	for _, what := range []string{"one is cut off", "it still is"} {
		if login(what) != other {
			t.Errorf("%s, and took a login", what)
		}
	}
	places[first].Mend(t)
	places[other].Cut(t)
	if login("the other is cut off") != first {
		t.Error("the one that is cut off took a login")
	}
}

// Whoever the node does not know by its key gets nowhere, nor does a node that the server
// does not know.
func TestDMZStrangers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		how machine.Client
		// atNode is the rule and the reason there, atServer the reason.
		atNode   [2]string
		atServer string
	}{
		"server":  {machine.Client{Keys: []string{"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}, [2]string{"rule=remote.server_keys", "which is not in remote.server_keys"}, "it refuses this machine's key"},
		"node":    {machine.Client{May: []string{"nothing"}}, [2]string{"rule=remote.handshake", "it refuses this machine's key"}, "directory of clients"},
		"address": {machine.Client{May: []string{"--from=192.0.2.0/24"}}, [2]string{"rule=remote.handshake", "it refuses this machine's key"}, "the key is that of dmz-stranger-address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.how.Timeout, test.how.Listen = "1s", machine.NodeAddress()
			server, node := newNode(t, "dmz-stranger-"+name, "", test.how)
			p := machine.WithoutUser("dmz").Enroll(t, server.Users)
			if remoteLogin(t, node, p, p.Code(t, 0)) {
				t.Error("in")
			}
			machine.Log.Expect(t, "user="+p.Name+" service="+node.Name+" ", "verdict=fault", "rule=remote", "has no connection to this machine open")
			machine.Log.Expect(t, fmt.Sprintf("otpgate[%d]", node.Verifier.PID()), "verdict=turned-away", test.atNode[0], test.atNode[1])
			machine.Log.Expect(t, "verdict=fault", "rule=gateway.dial", test.how.Listen+": ", test.atServer)
		})
	}
}

// A thousand connections to the node that say nothing, from one address, leave logins
// as they are.
func TestDMZStalled(t *testing.T) {
	t.Parallel()
	listen := machine.NodeAddress()
	server, node := newNode(t, "dmz-stalled", "[totp]\nwindow = 3\n", machine.Client{Listen: listen})
	p := machine.WithoutUser("dmz").Enroll(t, server.Users)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 8)}}
	for range 1000 {
		conn, err := dialer.Dial("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	machine.Log.Expect(t, "remote=127.9.9.8", "verdict=turned-away", "rule=remote.handshakes")
	for steps := -1; steps <= 1; steps++ {
		if !remoteLogin(t, node, p, p.Code(t, steps)) {
			t.Errorf("not in:\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	// Nor do they keep a server out that dials anew.
	server.Gateway.Kill()
	server.StartGateway(t)
	other := machine.WithoutUser("dmz").Enroll(t, server.Users)
	if !remoteLogin(t, node, other, other.Code(t, 0)) {
		t.Error("not in after the server was started again")
	}
}
