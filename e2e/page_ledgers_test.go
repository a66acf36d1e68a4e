package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// remembering is a server on which logins are remembered, and codes are good for minutes.
const remembering = "[policy]\nsession = \"90d\"\n"

// The page is the same on a server whose ledger and people are files: see lifeOnThePage.
func TestPageWithFiles(t *testing.T) {
	t.Parallel()
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	here := newPageSiteWith(t, "page-files", remembering+emailTable(t, server), "digits = 8\n", "manage = true\n")
	_, _ = lifeOnThePage(t, here, server)
}

// And on one whose ledger and people are in etcd. What somebody did on its page counts on
// another server, also for who had logged in there; the page's user gets at nothing of it,
// and in etcd's own files is no link, key or recovery code.
func TestPageWithEtcd(t *testing.T) {
	t.Parallel()
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	cluster := etcdtest.Run(t, etcdtest.Config{Members: 1, Dir: t.TempDir()})
	one, two := machine.NewSite(t, "page-etcd", "").Over(machine.Resident), machine.NewSite(t, "page-etcd-two", "")
	text := remembering + emailTable(t, server) + "[secrets]\nkeys = ['" + makeKey(t, one, "first") + "']\n"
	here := startPageSite(t, one, shareLedger(t, cluster, one, text, true), "digits = 8\n", "manage = true\n")
	shareLedger(t, cluster, two, text+"[totp]\nwindow = 10\ndigits = 8\n", true)
	two.CodeOnly(t, two.Name, "protocol=ssh")

	p, tablet := lifeOnThePage(t, here, server, cluster.Dir)
	elsewhere := *p // what is remembered is so on both
	elsewhere.Address = "127.9.9.9"
	for _, row := range []struct {
		code string
		want int
	}{{tablet.code(t, 1), pamAuthErr}, {tablet.code(t, 2), hosts.PAMSuccess}} {
		if verdict := plainLogin(t, two.Name, &elsewhere, row.code); verdict != row.want {
			t.Errorf("on the other server: %d, expected %d", verdict, row.want)
		}
	}
	credential, otpctl := machine.CredentialOf(t, "otpgate-portal"), machine.Files+"/otpctl"
	for _, args := range [][]string{{"ledger", "status"}, {"status", p.Name}, {"list"}} {
		if output, err := asUser(credential, "", append([]string{otpctl, "--config", here.Config}, args...)...); err == nil || !strings.Contains(output, "permission denied") {
			t.Errorf("%q as the page's user: %v\n%s", args, err, output)
		}
	}
}

// lifeOnThePage is that of somebody who enrolls on the page by a mailed link, and logs in;
// whose login is remembered, until that is ended on the page; and who has one more device from
// there. No link, key or code of theirs is where it could be read, nor in dirs.
func lifeOnThePage(t *testing.T, here pageSite, server *hosts.Exim, dirs ...string) (p *machine.Person, tablet added) {
	t.Helper()
	p = machine.NewPerson(t, "lives")
	link, b, sshd := here.mailed(t, server, p), here.browser(t, p.Address), startSSHD(t, here.Site)
	has, err := b.enrolls(link)
	if err != nil {
		t.Fatal(err)
	}
	phone := func(steps int) string {
		code, err := codeOf(has.key, steps)
		if err != nil {
			t.Fatal(err)
		}
		has.typed = append(has.typed, code)
		return code
	}
	expectIn(t, p, sshd.Login(t, p, answers(p, phone(1))), 1)
	expectIn(t, p, sshd.Login(t, p, answers(p)), 0)
	expectAudit(t, p, "verdict=not-asked", "rule=policy.session")

	b.askLink(t, p)
	self := secondLink(t, p)
	if status, text := b.sends(t, "POST", self, url.Values{"current": {has.codes[0]}}); status != http.StatusOK || !strings.Contains(text, p.Address) {
		t.Fatalf("%d\n%s", status, text)
	}
	b.does(t, "The remembered login is ended", "do", "end-session", "id", b.remembered(t))
	expectIn(t, p, sshd.Login(t, p, answers(p, phone(2))), 1)
	tablet = b.adds(t, "tablet")
	b.does(t, "The device counts from now on.", "do", "confirm", "first", tablet.code(t, 0))
	// Another device ends what is remembered.
	expectIn(t, p, sshd.Login(t, p, answers(p, tablet.code(t, 1))), 1)
	expectAudit(t, p, "verdict=accepted", "rule=totp:tablet")
	machine.Until(t, "a letter about each change", func() bool {
		all := strings.Join(p.Letters(t), "\n")
		return strings.Contains(all, "A remembered login was ended.") && strings.Contains(all, "The device tablet was added.")
	})
	has.further = tablet.key
	has.typed = append(has.typed, has.first, tablet.code(t, 0), tablet.code(t, 1))
	leavesNoTrace(t, here, p, link, has, dirs...)
	leavesNoTrace(t, here, p, self, has, dirs...)
	return p, tablet
}

// secondLink is the path of the link to self-service, which is not in the first letter.
func secondLink(t *testing.T, p *machine.Person) string {
	t.Helper()
	var found []string
	machine.Until(t, "a letter with the link", func() bool {
		found = linkToManage.FindStringSubmatch(strings.Join(p.Letters(t), "\n"))
		return found != nil
	})
	machine.Keep(found[2])
	return found[1]
}

var rememberedLogin = regexp.MustCompile(`name="do" value="end-session"><input type="hidden" name="id" value="([0-9a-f]{16})"`)

// remembered is the id of the one remembered login on the page.
func (w *web) remembered(t *testing.T) string {
	t.Helper()
	status, text := w.sends(t, "GET", "/manage", nil)
	found := rememberedLogin.FindAllStringSubmatch(text, -1)
	if status != http.StatusOK || len(found) != 1 {
		t.Fatalf("%d, %d remembered logins\n%s", status, len(found), text)
	}
	return found[0][1]
}
