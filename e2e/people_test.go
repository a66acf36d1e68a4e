package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// Two servers have their people in one etcd. Whoever was enrolled in files of one of them,
// or sets up a code at a login there, logs in with it at the other's sshd, by the resident
// verifier and by a forked core; whom an admin shuts out on one is out on both.
func TestPeopleInEtcd(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Run(t, etcdtest.Config{Members: 1, Dir: t.TempDir()})
	one, two := machine.NewSite(t, "people-one", ""), machine.NewSite(t, "people-two", "")
	secrets := "[secrets]\nkeys = ['" + makeKey(t, one, "first") + "']\n"
	one.Configure(t, mustEnroll+secrets)
	before := machine.NewPerson(t, "before").Enroll(t, one.Users)
	ctl(t, one, "secrets", "encrypt")
	for _, here := range []machine.Site{one, two} {
		settings := cluster.Settings(t, here.Name)
		here.Configure(t, mustEnroll+secrets+fmt.Sprintf("[ledger]\npeople = true\netcd = ['%s']\nca_file = %q\ncertificate_file = %q\nkey_file = %q\nsocket = %q\ntimeout = '1m'\n",
			strings.Join(cluster.URLs(), "', '"), settings.CAFile, settings.CertificateFile, settings.KeyFile, here.Ledger()))
		machine.StartLedgerd(t, here)
		ctl(t, here, "ledger", "move", "--to", "etcd")
	}
	one.Verifier, one.Path = machine.StartVerifier(t, one, machine.VerifierOptions{}), machine.Resident
	atOne, atTwo := startSSHD(t, one), startSSHD(t, two)

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

	ctl(t, two, "disable", p.Name)
	expectOut(t, p, atOne.Login(t, p, answers(p, p.Code(t, 2))), 0)
	expectOut(t, p, atTwo.Login(t, p, answers(p, p.Code(t, 2))), 0)
}
