package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// examined are the doctor's findings about a site that are of some ids, by id.
func examined(t *testing.T, site machine.Site, ids ...string) map[string][]finding.Finding {
	t.Helper()
	var output []byte
	var err error
	site.In.Within(t, func() {
		output, err = exec.Command(machine.Files+"/otpctl", "--config="+site.Config, "doctor", "--service="+site.Name, "--json").Output()
	})
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 3) {
		t.Fatalf("doctor: %v", err)
	}
	var said struct {
		Findings []struct{ ID, What, Follows, Fix string }
	}
	if err := json.Unmarshal(output, &said); err != nil {
		t.Fatalf("doctor: %v: %s", err, output)
	}
	found := map[string][]finding.Finding{}
	for _, f := range said.Findings {
		if slices.Contains(ids, f.ID) {
			found[f.ID] = append(found[f.ID], finding.Finding{ID: f.ID, What: f.What, Follows: f.Follows, Fix: f.Fix})
		}
	}
	return found
}

// aboutServers are the ids of what a client's doctor says of its servers.
var aboutServers = []string{"server-unreachable", "server-key", "client-refused", "server-busy", "ledgers-differ", "clocks-apart", "server-key-unused", "client-key", "left-over", "verifier-kept-in"}

// aboutClients are the ids of what a server's doctor says of its gateway and clients.
var aboutClients = []string{"gateway-user", "gateway-key", "gateway-not-listening", "gateway-without-verifier", "gateway-reads-secrets", "client-file", "client-key-twice", "no-clients", "client-from-anywhere", "client-for-everything"}

// expectOfServers has a client's doctor say that of its servers, and no more.
func expectOfServers(t *testing.T, client machine.Site, want map[string]string) {
	t.Helper()
	expectFound(t, examined(t, client, aboutServers...), want)
}

func expectFound(t *testing.T, found map[string][]finding.Finding, want map[string]string) {
	t.Helper()
	for id, text := range want {
		if len(found[id]) != 1 || !strings.Contains(found[id][0].What, text) {
			t.Errorf("expected one %s with %q, found %+v", id, text, found)
		}
	}
	for id := range found {
		if _, wanted := want[id]; !wanted {
			t.Errorf("found %+v", found[id])
		}
	}
}

// A client's doctor says of each server what is wrong with it, and nobody's login is
// begun by that.
func TestDoctorAsksServers(t *testing.T) {
	t.Parallel()
	servers, clients := ownFleet(t, "r-doc", "", machine.Client{})
	before := len(machine.Log.Lines("client=r-doc-c1"))
	expectOfServers(t, clients[0], nil)
	if lines := machine.Log.Lines("client=r-doc-c1"); len(lines) != before {
		t.Errorf("it left\n%s", machine.Text(lines[before:]))
	}
	second := servers[1]
	second.Gateway.Signal(t, syscall.SIGSTOP)
	expectOfServers(t, clients[0], map[string]string{"server-unreachable": second.Address + " does not answer within"})
	second.Gateway.Signal(t, syscall.SIGCONT)
	second.In.Cut(t)
	expectOfServers(t, clients[0], map[string]string{"server-unreachable": second.Address + " does not answer within"})
	second.In.Mend(t)
	second.Gateway.Kill()
	expectOfServers(t, clients[0], map[string]string{"server-unreachable": second.Address + " refuses the connection"})
	second.StartGateway(t)
	second.Verifier.Kill()
	expectOfServers(t, clients[0], map[string]string{"server-busy": second.Address + " answers, and takes no login: its verifier does not answer"})
	second.StartVerifier(t)
	expectOfServers(t, clients[1], nil)
}

// Keys, addresses and ledgers that do not go together are told apart.
func TestDoctorComparesServers(t *testing.T) {
	t.Parallel()
	one, other := machine.NewServer(t, "r-cmp-s1", ""), machine.NewServer(t, "r-cmp-s2", "")
	client := func(name string, how machine.Client, servers ...*machine.Server) machine.Site {
		site := machine.NewClient(t, name, how, servers...)
		site.CodeOnly(t, name, "protocol=ssh")
		return site
	}
	stranger := client("r-cmp-stranger", machine.Client{May: []string{"nothing"}}, one)
	expectOfServers(t, stranger, map[string]string{"client-refused": one.Address + " does not take this machine's key"})
	key := strings.TrimSpace(otpctl(t, 0, "--config="+stranger.Config, "client", "key"))
	if fix := examined(t, stranger, "client-refused")["client-refused"][0].Fix; !strings.Contains(fix, "otpctl client add NAME "+key) {
		t.Errorf("expected how to add %s, found %s", key, fix)
	}
	elsewhere := client("r-cmp-elsewhere", machine.Client{May: []string{"--from=192.0.2.0/24"}}, one)
	expectOfServers(t, elsewhere, map[string]string{"client-refused": one.Address})
	mistaken := client("r-cmp-mistaken", machine.Client{Keys: []string{one.Key}}, one, other)
	expectOfServers(t, mistaken, map[string]string{"server-key": other.Address + " shows the key " + other.Key})
	two := client("r-cmp-two", machine.Client{}, one, other)
	expectOfServers(t, two, map[string]string{"ledgers-differ": one.Address + " has "})
	unused := client("r-cmp-unused", machine.Client{Keys: []string{one.Key, other.Key}}, one)
	expectOfServers(t, unused, map[string]string{"server-key-unused": other.Key})
}

// A server's doctor says what is wrong with a real gateway, its verifier and the files of
// its clients.
func TestDoctorOnServer(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "r-srv", "")
	expect := func(want map[string]string) {
		t.Helper()
		expectFound(t, examined(t, server.Site, aboutClients...), want)
	}
	expect(map[string]string{"no-clients": "has no clients"})
	machine.NewClient(t, "r-srv-c", machine.Client{May: []string{"--from=127.0.0.1", "--services=r-srv-c"}}, server)
	expect(nil)
	server.Gateway.Kill()
	expect(map[string]string{"gateway-not-listening": "Nobody listens at " + server.Address})
	server.StartGateway(t)
	server.Verifier.Kill()
	expect(map[string]string{"gateway-without-verifier": "No verifier"})
	server.Verifier = machine.StartVerifier(t, server.Site, machine.VerifierOptions{})
	file := filepath.Join(filepath.Dir(server.Config), "clients", "r-srv-c.toml")
	must(t, os.Chmod(file, 0o600))
	expect(map[string]string{"client-file": "cannot read it"})
	must(t, os.Chmod(file, 0o644))
	must(t, os.Chmod(server.State, 0o777))
	expect(map[string]string{"gateway-reads-secrets": "can read or change " + server.State})
	must(t, os.Chmod(server.State, 0o700))
	expect(nil)
}
