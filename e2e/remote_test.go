package e2e

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
	"github.com/otpgate/otpgate/internal/clients"
)

// rounds is how often fifty logins on three clients give one code: make soak.
var rounds = flag.Int("rounds", 5, "how many rounds TestRemoteOnce has")

// manyGuesses lets fifty logins give one code.
const manyGuesses = "[policy]\nattempts = { per_window = 1000, per_source = 100000 }\n[totp]\nwindow = 3\n"

// ownFleet are two servers with one ledger, in files, and three clients of both, each in a network
// namespace of its own.
func ownFleet(t testing.TB, name, text string, how machine.Client) (servers [2]*machine.Server, clients [3]machine.Site) {
	t.Helper()
	joined := network.New(t)
	servers[0] = machine.NewServerIn(t, joined.NewNamespace(t), name+"-s1", text)
	servers[1] = machine.NewTwinIn(t, joined.NewNamespace(t), servers[0], name+"-s2", text)
	for i, client := range []string{name + "-c1", name + "-c2", name + "-c3"} {
		clients[i] = machine.NewClientIn(t, joined.NewNamespace(t), client, how, servers[0], servers[1])
		clients[i].CodeOnly(t, client, "protocol=ssh")
	}
	return servers, clients
}

// askedBy are the servers that each of three clients of a fleet knows: one of the two
// alone, the other alone, and both. So both decide, however slow one of them is.
func askedBy(servers [2]*machine.Server) [3][]*machine.Server {
	return [3][]*machine.Server{servers[:1], servers[1:], servers[:]}
}

// beginAt starts a login of p on a client.
func beginAt(t testing.TB, client machine.Site, p *machine.Person) *hosts.Host {
	t.Helper()
	return hosts.StartHost(t, client.Name, p.Name, hosts.HostOptions{RemoteHost: p.Address})
}

// remoteLogin is a whole login, and whether it was in.
func remoteLogin(t testing.TB, client machine.Site, p *machine.Person, answers ...string) bool {
	t.Helper()
	return beginAt(t, client, p).Verdict(t, answers...) == hosts.PAMSuccess
}

// A code is good once on all clients, also at the same instant, and both machines
// name a login alike.
func TestRemoteOnce(t *testing.T) {
	t.Parallel()
	whole := fleetOf(t)
	servers := whole.NewServers(t, "r-once", manyGuesses)
	asked := askedBy(servers)
	how := machine.Client{May: []string{"--users=@all"}, Change: func(c *clients.Client) { c.PerMinute, c.WrongCodes = 100000, 100000 }}
	var clients [3]machine.Site
	for i := range clients {
		name := fmt.Sprint("r-once-c", i+1)
		clients[i] = whole.NewClient(t, i, name, how, asked[i]...)
		clients[i].CodeOnly(t, name, "protocol=ssh")
	}
	p := machine.WithoutUser("rem").Enroll(t, servers[0].Users)
	code := p.Code(t, 0)
	if !remoteLogin(t, clients[0], p, code) {
		t.Errorf("not in with the right code:\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
	for _, other := range clients[1:] {
		if remoteLogin(t, other, p, code, code, code) {
			t.Errorf("in on %s with a code that was used on another client", other.Name)
		}
	}
	here := machine.Log.Expect(t, "user="+p.Name+" ", "service=r-once-c1", "verdict=accepted", "rule=totp:phone", "server="+servers[0].Address)
	id := regexp.MustCompile(`id=[0-9a-f]{16}`).FindString(here.Text)
	machine.Log.Expect(t, "user="+p.Name+" ", "client=r-once-c1", "verdict=accepted", "rule=totp:phone", "remote="+p.Address, id)
	for range *rounds {
		onceOfFifty(t, servers[0].Site, clients[0].Name, clients[1].Name, clients[2].Name)
	}
}

// The daemons of three machines have two servers decide, which share a ledger in etcd: a
// code is good once on one of them, whichever server decides. All know both servers, as
// either may be slow to reach the ledger.
func TestRemoteDaemons(t *testing.T) {
	t.Parallel()
	whole := fleetOf(t)
	servers := whole.NewSharers(t, "r-daemons", "[totp]\nwindow = 3\n")
	asked := [3][]*machine.Server{servers[:], {servers[1], servers[0]}, servers[:]}
	p := machine.NewPerson(t, "ada").Enroll(t, servers[0].Users)
	var sites [3]machine.Site
	var sshds [3]*hosts.SSHD
	for i := range sites {
		sites[i] = whole.NewClient(t, i, fmt.Sprint("r-daemons-c", i+1), machine.Client{}, asked[i]...)
		sshds[i] = startSSHD(t, sites[i])
	}
	expectApart(t, map[*network.Namespace]int{
		nil: 1, servers[0].In: servers[0].Gateway.PID(), servers[1].In: servers[1].Gateway.PID(),
		sites[0].In: sshds[0].PID(), sites[1].In: sshds[1].PID(), sites[2].In: sshds[2].PID(),
	})
	for i, site := range sites {
		code := p.Code(t, i-1)
		expectIn(t, p, sshds[i].Login(t, p, answers(p, code), hosts.OwnKeyExchange), 1)
		took := decidedBy(t, servers, p, "service="+site.Name+" ", "verdict=accepted")
		expectAudit(t, p, "service="+site.Name+" ", "verdict=accepted", "rule=totp:phone", "server="+servers[took].Address+" ")
		other := (i + 1) % len(sites)
		expectOut(t, p, sshds[other].Login(t, p, answers(p, code, code, code), hosts.OwnKeyExchange), 3)
		refused := decidedBy(t, servers, p, "service="+sites[other].Name+" ", "verdict=denied")
		t.Logf("%s let %s in, %s refused the code", servers[took].Name, p.Name, servers[refused].Name)
	}
	// One of them may have decided everything.
	found := 0
	for register := range etcdRegisters(t) {
		if strings.HasSuffix(register, "/users/"+p.Name) {
			found++
		}
	}
	if found != 1 {
		t.Errorf("etcd has %d entries of %s, expected one", found, p.Name)
	}
}

// expectApart fails t unless each process runs in its own network namespace, of the five
// machines of a fleet and that of the tests, and in no other.
func expectApart(t testing.TB, processes map[*network.Namespace]int) {
	t.Helper()
	if len(processes) != 6 {
		t.Errorf("five machines and that of the tests have %d networks", len(processes))
	}
	for own, pid := range processes {
		for place := range processes {
			if has, err := place.Has(pid); err != nil || has != (place == own) {
				t.Errorf("network namespace %s has process %d of %s: %v (%v)", place, pid, own, has, err)
			}
		}
	}
}

// Without any server those who are never asked are in, and all others are denied, also
// where no verifier runs.
func TestRemoteNoServer(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "r-none-s", "")
	p, robot := machine.WithoutUser("rem").Enroll(t, server.Users), machine.WithoutUser("robot")
	client := machine.NewClient(t, "r-none", machine.Client{Policy: "[policy]\nexempt = [\"" + robot.Name + "\"]\ntrusted_networks = [\"198.51.100.0/24\"]\n"}, server)
	server.Gateway.Kill()
	for _, path := range machine.Paths {
		service := "r-none-" + string(path)
		here := client.Over(path)
		here.Name = service
		here.CodeOnly(t, service, "protocol=ssh")
		if !remoteLogin(t, here, robot) {
			t.Errorf("%s: who is never asked is not in", path)
		}
		trusted := *p
		trusted.Address = "198.51.100.7"
		if !remoteLogin(t, here, &trusted) {
			t.Errorf("%s: not in from a trusted network", path)
		}
		if remoteLogin(t, here, p, p.Code(t, 0)) {
			t.Errorf("%s: in without a server", path)
		}
		machine.Log.Expect(t, "user="+p.Name+" service="+service, "verdict=fault", "rule=remote", map[machine.Path]string{
			machine.Forked: "otpgate-verifierd alone asks them", machine.Resident: server.Address + ": connect: connection refused"}[path])
	}
	// Once one answers, all is as ever.
	server.StartGateway(t)
	client.Name = "r-none-resident"
	if !remoteLogin(t, client, p, p.Code(t, 0)) {
		t.Error("not in with a server again")
	}
}

// tookBy says which of the servers has decided the login of p on a client, who logged
// in there once. A server that is slow for a moment may not be the one.
func tookBy(t testing.TB, servers [2]*machine.Server, client machine.Site, p *machine.Person) int {
	t.Helper()
	return decidedBy(t, servers, p, "service="+client.Name)
}

// decidedBy says which of the servers has decided p's login by the client's first line with
// these texts.
func decidedBy(t testing.TB, servers [2]*machine.Server, p *machine.Person, texts ...string) int {
	t.Helper()
	line := machine.Log.Expect(t, append([]string{"user=" + p.Name + " ", " server="}, texts...)...)
	for i, server := range servers {
		address := server.Address
		if address == "" { // it dials
			address = server.In.Address
		}
		if strings.Contains(line.Text, "server="+address+" ") {
			return i
		}
	}
	t.Fatalf("no server is named in %s", line.Text)
	return 0
}

// A server that dies or hangs before it has taken a login costs nobody anything.
func TestRemoteServerFailsBefore(t *testing.T) {
	t.Parallel()
	servers, clients := ownFleet(t, "r-before", "", machine.Client{})
	login := func(what string) int {
		t.Helper()
		p := machine.WithoutUser("rem").Enroll(t, servers[0].Users)
		if !remoteLogin(t, clients[0], p, p.Code(t, 0)) {
			t.Errorf("%s: not in:\n%s", what, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
		return tookBy(t, servers, clients[0], p)
	}
	first := login("both are well")
	second := 1 - first
	servers[first].Gateway.Signal(t, syscall.SIGSTOP)
	for _, what := range []string{"one hangs", "it still hangs"} {
		if took := login(what); took != second {
			t.Errorf("%s, and took a login", what)
		}
	}
	servers[first].Gateway.Signal(t, syscall.SIGCONT)
	servers[second].Gateway.Kill()
	if took := login("the other is dead"); took != first {
		t.Error("the dead one took a login")
	}
	servers[first].Gateway.Kill()
	servers[second].StartGateway(t)
	if took := login("the first is dead"); took != second {
		t.Error("the dead one took a login")
	}
}

// Two servers that remember codes apart are told from two with one ledger.
func TestRemoteTwoLedgers(t *testing.T) {
	t.Parallel()
	servers := [2]*machine.Server{machine.NewServer(t, "r-two-s1", ""), machine.NewServer(t, "r-two-s2", "")}
	p := machine.WithoutUser("rem").Enroll(t, servers[0].Users).Enroll(t, servers[1].Users)
	client := machine.NewClient(t, "r-two", machine.Client{}, servers[0], servers[1])
	client.CodeOnly(t, "r-two", "protocol=ssh")
	code := p.Code(t, 0)
	if !remoteLogin(t, client, p, code) {
		t.Fatal("not in at the first server")
	}
	servers[tookBy(t, servers, client, p)].Gateway.Kill()
	if remoteLogin(t, client, p, code) {
		t.Error("in twice with one code")
	}
	machine.Log.Expect(t, "user="+p.Name+" service=r-two", "verdict=fault", "rule=remote", "different ledgers", servers[0].Address, servers[1].Address)
}

// Whoever is not listed gets no further than the handshake.
func TestRemoteStrangers(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "r-stranger-s", "")
	p := machine.WithoutUser("rem").Enroll(t, server.Users)
	for name, test := range map[string]struct {
		how      machine.Client
		atClient string
		atServer []string
	}{
		"nobody":  {machine.Client{May: []string{"nothing"}}, "it refuses this machine's key", []string{"rule=gateway.clients", "no such client"}},
		"address": {machine.Client{May: []string{"--from=192.0.2.0/24"}}, "it refuses this machine's key", []string{"rule=gateway.clients", "the key is that of r-stranger-address"}},
		"server":  {machine.Client{Keys: []string{"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}, "its key is " + server.Key, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := machine.NewClient(t, "r-stranger-"+name, test.how, server)
			client.CodeOnly(t, client.Name, "protocol=ssh")
			if remoteLogin(t, client, p, p.Code(t, 0)) {
				t.Error("in")
			}
			machine.Log.Expect(t, "user="+p.Name+" service="+client.Name+" ", "verdict=fault", "rule=remote", test.atClient)
			if test.atServer != nil {
				machine.Log.Expect(t, append([]string{"verdict=turned-away"}, test.atServer...)...)
			}
		})
	}
}

// A client's file says what it may ask for; a change counts from the next login on.
func TestRemoteClientMay(t *testing.T) {
	t.Parallel()
	texts := hosts.StartGateway(t)
	server := machine.NewServer(t, "r-may-s", "[policy]\nrequire = [\"@all\"]\nunenrolled = \"enroll\"\n"+texts.Settings(""))
	p, other := machine.WithoutUser("rem").Enroll(t, server.Users), machine.WithoutUser("rem").Enroll(t, server.Users)
	client := machine.NewClient(t, "r-may", machine.Client{May: []string{"--services=r-may", "--users=" + p.Name, "--no-send"}}, server)
	for _, service := range []string{"r-may", "r-may-other"} {
		client.CodeOnly(t, service, "protocol=ssh")
	}
	if !remoteLogin(t, client, p, p.Code(t, 0)) {
		t.Error("not in with what the file names")
	}
	if remoteLogin(t, client, other, other.Code(t, 0)) {
		t.Error("in as somebody whom the file does not name")
	}
	machine.Log.Expect(t, "user="+other.Name+" ", "client=r-may", "verdict=denied", "rule=client.users")
	machine.Log.Expect(t, "user="+other.Name+" ", "server="+server.Address, "verdict=denied", "rule=client.users")
	client.Name = "r-may-other"
	if remoteLogin(t, client, p, p.Code(t, 1)) {
		t.Error("in by a service that the file does not name")
	}
	machine.Log.Expect(t, "user="+p.Name+" ", "client=r-may", "verdict=denied", "rule=client.services")
	path := "/etc/otpgate-sites/r-may-s/clients/r-may.toml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, regexp.MustCompile(`(?m)^(services|users) = .*\n`).ReplaceAll(text, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	client.Name = "r-may"
	// Nobody enrolls there, and nothing is sent.
	if remoteLogin(t, client, machine.WithoutUser("rem")) {
		t.Error("in without a code")
	}
	sent := addressed(t, machine.WithoutUser("rem"), server.Site, "sms")
	if remoteLogin(t, client, sent) || texts.Requests() > 0 {
		t.Errorf("%d messages were sent", texts.Requests())
	}
	if !remoteLogin(t, client, other, other.Code(t, 1)) {
		t.Error("not in after the file was changed")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if remoteLogin(t, client, p, p.Code(t, 2)) {
		t.Error("in after the file was taken away")
	}
}
