package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
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

// expectOfServers has a client's doctor say that of its servers, and no more.
func expectOfServers(t *testing.T, client machine.Site, want map[string]string) {
	t.Helper()
	found := examined(t, client, aboutServers...)
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
	servers, clients := fleet(t, "r-doc", "", machine.Client{})
	before := machine.Log.Lines("client=r-doc-c1")
	expectOfServers(t, clients[0], nil)
	if lines := machine.Log.Lines("client=r-doc-c1"); len(lines) > len(before) {
		t.Errorf("it left\n%s", machine.Text(lines[len(before):]))
	}
	second := servers[1]
	second.Gateway.Signal(t, syscall.SIGSTOP)
	expectOfServers(t, clients[0], map[string]string{"server-unreachable": second.Address + " does not answer within"})
	second.Gateway.Signal(t, syscall.SIGCONT)
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
