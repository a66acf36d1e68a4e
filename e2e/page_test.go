package e2e

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/pquerna/otp"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/browsertest"
)

// An invitation arrives by mail, and by its link somebody enrolls on the page, which runs
// as its own user. Then sshd refuses that person without a code, and lets the next code
// and a recovery code in. Neither link nor key is in a log.
func TestInvitedByMail(t *testing.T) {
	t.Parallel()
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	here := newPageSite(t, "invited", emailTable(t, server))
	p := machine.NewPerson(t, "invited")
	link := here.mailed(t, server, p)
	b := here.browser(t, p.Address)
	has, err := b.enrolls(link)
	if err != nil {
		t.Fatal(err)
	}
	machine.Log.Expect(t, "otpgate", "user="+p.Name+" ", "remote="+p.Address, "verdict=enrolled", "by=link")
	sshd := startSSHD(t, here.Site)
	next, err := codeOf(has.key, 1)
	if err != nil {
		t.Fatal(err)
	}
	expectOut(t, p, sshd.Login(t, p, answers(p, "", has.first, "")), 3)
	for _, code := range []string{next, has.codes[0]} {
		expectIn(t, p, sshd.Login(t, p, answers(p, code)), 1)
	}
	if got, err := b.get(link); err != nil || got.status != http.StatusGone || !strings.Contains(got.text, "has been used") {
		t.Errorf("%v, %d\n%s", err, got.status, got.text)
	}
	if got, err := b.get("/setup"); err != nil || got.status != http.StatusNotFound || strings.Contains(got.text, "otpauth:") {
		t.Errorf("%v, %d\n%s", err, got.status, got.text)
	}
	leavesNoTrace(t, here, p, link, has)
}

// leavesNoTrace looks for the link where admins and whoever reads backups could find it, and
// in dirs, and for what the page showed in the mails. The log is searched at the end of all
// tests, and so is the ledger in files.
func leavesNoTrace(t *testing.T, here pageSite, p *machine.Person, link string, has enrolled, dirs ...string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed := here.otpctl(t, "", "export", "--recipient", identity.Recipient().String())
	opened, err := age.Decrypt(strings.NewReader(sealed), identity)
	if err != nil {
		t.Fatal(err)
	}
	backup, err := io.ReadAll(opened)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := strings.Contains(string(backup), "encrypted:")
	inside := func(text string) bool { return strings.Contains(string(backup), text) }
	if !inside(p.Name) || !encrypted && slices.ContainsFunc(has.keys(), func(key string) bool { return !inside(key) }) {
		t.Fatal("the person or a key is not in the backup, where this test could find it")
	}
	places := map[string]string{"the backup": string(backup)}
	for _, dir := range append(dirs, here.Users, here.State) {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			places[path] = path + string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := strings.TrimPrefix(strings.TrimPrefix(link, "/l/"), "/m/")
	for name, text := range places {
		hidden := append(slices.Clone(has.codes), secret)
		if encrypted || name != "the backup" && !strings.HasPrefix(name, here.Users) {
			hidden = append(hidden, has.keys()...)
		}
		has.without(t, name, text, hidden)
	}
	letters := strings.Join(p.Letters(t), "\n")
	has.without(t, "a letter", letters, slices.Concat(has.codes, has.keys(), []string{"otpauth:"}))
	if strings.Count(letters, secret) != 1 {
		t.Errorf("expected the link once:\n%s", letters)
	}
}

// The whole way in a real browser, in which no script runs and no mouse is: mail servers
// have opened the link before, and so has the browser without pressing anything. A camera
// takes the key from the screen, and what oathtool makes of it is typed. The next code
// logs in at the real sshd.
//
// It runs before those that run beside each other: they give people addresses, and a
// browser drops what it loads while the machine's addresses change.
func TestInvitedInABrowser(t *testing.T) {
	server := hosts.StartExim(t, hosts.EximOptions{Auth: true})
	here := newPageSite(t, "invited-browser", emailTable(t, server))
	p := machine.NewPerson(t, "browses")
	link := here.mailed(t, server, p)
	machine.JoinGroup(t, "www-data", "otpgate-portal")
	at := hosts.StartNginxForPage(t, here.listen)
	scan(t, at, link, "--head")
	scan(t, at, link, "--get")
	b := browsertest.Start(t, browsertest.Options{Hosts: map[string]string{"otp.example.com": at}})
	for range 2 {
		b.Opens(t, "https://otp.example.com"+link)
		if text := b.HTML(t); !strings.Contains(text, "<h1>Set up codes for b…") {
			t.Fatal(text)
		}
	}
	b.Arrives(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	key, err := otp.NewKeyFromURL(b.QR(t))
	if err != nil {
		t.Fatal(err)
	}
	machine.Keep(key.Secret())
	first, next := appCode(t, key, 0), appCode(t, key, 1)
	// The link for the app comes before the field.
	b.Do(t, chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), browsertest.Types(first))
	b.Arrives(t, chromedp.KeyEvent(kb.Enter))
	done := answered{http.StatusOK, b.HTML(t)}
	codes, err := done.codes()
	if err != nil {
		t.Fatal(err)
	}
	paper := b.Paper(t)
	for _, one := range codes {
		if !strings.Contains(paper, one) {
			t.Errorf("a recovery code is not on paper:\n%s", paper)
		}
	}
	machine.Log.Expect(t, "otpgate", "user="+p.Name+" ", "remote=127.0.0.1", "verdict=enrolled", "by=link")
	sshd := startSSHD(t, here.Site)
	expectOut(t, p, sshd.Login(t, p, answers(p, "", first, "")), 3)
	expectIn(t, p, sshd.Login(t, p, answers(p, next)), 1)
}

// scan is what mail servers do to a link: curl asks for it a hundred times.
func scan(t *testing.T, at, link, how string) {
	t.Helper()
	_, port, _ := strings.Cut(at, ":")
	// What is behind # is not sent.
	cmd := exec.Command("curl", "--silent", "--show-error", "--fail", "--insecure", "--config", "-", how, "--output", "/dev/null", "--write-out", "%{http_code}\n",
		"--resolve", "otp.example.com:"+port+":127.0.0.1")
	cmd.Stdin = strings.NewReader("url = https://otp.example.com:" + port + link + "#[1-100]\n")
	output, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(output), "200\n") != 100 {
		t.Fatalf("%v:\n%s", err, output)
	}
}

// appCode is what oathtool makes of a key, steps from now.
func appCode(t *testing.T, key *otp.Key, steps int) string {
	t.Helper()
	at := time.Now().Add(time.Duration(steps) * 30 * time.Second).UTC().Format("2006-01-02 15:04:05 UTC")
	return oathtool(t, "--totp", "--base32", "--digits", key.Digits().String(), "--now", at, key.Secret())
}
