package e2e

import (
	"fmt"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// pamMaxTries is PAM_MAXTRIES of <security/_pam_types.h>.
const pamMaxTries = 11

// Three machines have a member of etcd each, two of them servers that share the ledger.
// The one that is cut off from both others denies whoever needs it, the majority goes
// on, and once they see each other again what was used on either side is used.
func TestPartition(t *testing.T) {
	t.Parallel()
	lan := network.New(t)
	places := []*network.Namespace{lan.NewNamespace(t), lan.NewNamespace(t), lan.NewNamespace(t)}
	cluster := etcdtest.Run(t, etcdtest.Config{
		Members: len(places), Dir: t.TempDir(), Hosts: []string{places[0].Address, places[1].Address, places[2].Address},
		Before: func(member int) []string { return places[member].Before() },
	})
	majority := newSharer(t, cluster, places[0], nil, "partition-majority", "1m")
	minority := newSharer(t, cluster, places[2], &majority, "partition-minority", "1m")
	hurried := newSharer(t, cluster, places[2], &majority, "partition-hurried", "1s")
	p := machine.WithoutUser("part").Enroll(t, majority.Users)
	expect := func(what string, here machine.Site, code string, want int) {
		t.Helper()
		if got := beginAt(t, here, p).Verdict(t, code, code, code); got != want {
			t.Errorf("%s: verdict %d, expected %d\n%s", what, got, want, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
	before, meanwhile, after := p.Code(t, -1), p.Code(t, 0), p.Code(t, 1)
	expect("before", minority, before, hosts.PAMSuccess)
	expect("on the other server", majority, before, pamMaxTries)

	places[2].Cut(t)
	expect("cut off from the majority", hurried, meanwhile, pamSystemErr)
	machine.Log.Expect(t, "user="+p.Name+" ", "service=partition-hurried ", "verdict=fault", "rule=ledger")
	expect("the majority, without that one", majority, meanwhile, hosts.PAMSuccess)
	expect("used meanwhile, and the server is still cut off", hurried, meanwhile, pamSystemErr)

	places[2].Mend(t)
	expect("used on the other side", minority, meanwhile, pamMaxTries)
	expect("used before", minority, before, pamMaxTries)
	expect("the next code", minority, after, hosts.PAMSuccess)
	expect("used here, since they see each other again", majority, after, pamMaxTries)
}

// newSharer is a server at a place whose ledger is in etcd, with the secret files of
// another one if there is one. Logins wait that long for the ledger.
func newSharer(t *testing.T, cluster *etcdtest.Cluster, place *network.Namespace, other *machine.Site, name, timeout string) machine.Site {
	t.Helper()
	site := machine.NewSite(t, name, "")
	site.In, site.Path = place, machine.Resident
	if other != nil {
		site.Users = other.Users
	}
	site.Configure(t, ledgerTable(t, cluster, name, timeout)+fmt.Sprintf("socket = %q\n", site.Ledger()))
	machine.StartLedgerd(t, site)
	site.Verifier = machine.StartVerifier(t, site, machine.VerifierOptions{})
	site.CodeOnly(t, name, "protocol=ssh")
	return site
}
