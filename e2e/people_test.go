package e2e

import (
	"fmt"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/testwait"
)

// Two servers have their people in one etcd. Whoever was enrolled in files of one of them,
// or sets up a code at a login there, logs in with it at the other's sshd, by the resident
// verifier and by a forked core, and on a client that asks the other; whom an admin shuts out on
// one is out on all of them. A server that shares the ledger and still has files lets none of
// them in for not having enrolled there.
func TestPeopleInEtcd(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Run(t, etcdtest.Config{Members: 1, Dir: t.TempDir()})
	one, server := machine.NewSite(t, "people-one", ""), machine.NewServer(t, "people-two", "")
	two := server.Over(machine.Forked)
	secrets := "[secrets]\nkeys = ['" + makeKey(t, one, "first") + "']\n"
	one.Configure(t, mustEnroll+secrets)
	before := machine.NewPerson(t, "before").Enroll(t, one.Users)
	ctl(t, one, "secrets", "encrypt")
	shareLedger(t, cluster, one, mustEnroll+secrets, true)
	shareLedger(t, cluster, two, mustEnroll+secrets, true)
	one.Verifier, one.Path = machine.StartVerifier(t, one, machine.VerifierOptions{}), machine.Resident
	client := machine.NewClient(t, "people-client", machine.Client{}, server)
	atOne, atTwo, onClient := startSSHD(t, one), startSSHD(t, two), startSSHD(t, client)

	expectOut(t, before, atOne.Login(t, before, answers(before, before.Code(t, -1))), 0)
	expectAudit(t, before, "verdict=fault", "rule=secret-file", one.Users+"/"+before.Name+".toml", "otpctl ledger move --people")
	ctl(t, one, "ledger", "move", "--people")
	used := before.Code(t, 0)
	expectIn(t, before, atTwo.Login(t, before, answers(before, used)), 1)
	expectOut(t, before, atOne.Login(t, before, answers(before, used)), 2)
	expectIn(t, before, atOne.Login(t, before, answers(before, before.Code(t, 1))), 1)

	p := machine.NewPerson(t, "new")
	first, recovery := finish(t, setUp(t, atOne.Client(p), p), p)
	expectOut(t, p, atTwo.Login(t, p, answers(p, first)), 2)
	expectIn(t, p, atTwo.Login(t, p, answers(p, p.Code(t, 1))), 1)
	expectIn(t, p, atOne.Login(t, p, answers(p, recovery[0])), 1)

	expectOut(t, p, onClient.Login(t, p, answers(p, first)), 2)
	expectIn(t, p, onClient.Login(t, p, answers(p, recovery[1])), 1)
	expectAudit(t, p, "client=people-client", "verdict=accepted", "rule=recovery")

	late := machine.NewSite(t, "people-late", "")
	shareLedger(t, cluster, late, secrets, false)
	late.Verifier = machine.StartVerifier(t, late, machine.VerifierOptions{})
	for _, path := range machine.Paths {
		here := late.Over(path)
		here.Name = "people-late-" + string(path)
		here.CodeOnly(t, here.Name, "protocol=ssh")
		// A login that is not told in a second whether people are in etcd goes on.
		testwait.Until(t, here.Name+" knows it", func() bool { return beginAt(t, here, p).Verdict(t) == pamSystemErr })
		machine.Log.Expect(t, "user="+p.Name+" ", "service="+here.Name+" ", "verdict=fault", "rule=ledger", "set ledger.people = true")
	}

	ctl(t, one, "disable", p.Name)
	expectOut(t, p, atOne.Login(t, p, answers(p, p.Code(t, 2))), 0)
	expectOut(t, p, atTwo.Login(t, p, answers(p, p.Code(t, 2))), 0)
	expectOut(t, p, onClient.Login(t, p, answers(p, recovery[2])), 0)
	expectAudit(t, p, "client=people-client", "rule=policy.unenrolled")
}

// shareLedger has a site have its ledger in etcd from now on, and with people also its
// people, by an otpgate-ledgerd of its own. It returns its configuration, which is text and
// a table.
func shareLedger(t *testing.T, cluster *etcdtest.Cluster, here machine.Site, text string, people bool) (all string) {
	t.Helper()
	all = text + ledgerTable(t, cluster, here.Name, "1m") + fmt.Sprintf("people = %v\nsocket = %q\n", people, here.Ledger())
	here.Configure(t, all)
	machine.StartLedgerd(t, here)
	ctl(t, here, "ledger", "move", "--to", "etcd")
	return all
}
