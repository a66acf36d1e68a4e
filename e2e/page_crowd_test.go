package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// crowd is how many people enroll at once.
const crowd = 200

// guests are so many people, whom the machine need not know.
func guests(count int) (people []*machine.Person) {
	for range count {
		people = append(people, machine.WithoutUser("guest"))
	}
	return people
}

// allEnroll has each of them enroll at the same time, by the links.
func allEnroll(t testing.TB, here pageSite, people []*machine.Person, links []string) (all []enrolled) {
	t.Helper()
	all = make([]enrolled, len(people))
	var running sync.WaitGroup
	for i, p := range people {
		b := here.browser(t, p.Address)
		running.Go(func() {
			var err error
			if all[i], err = b.enrolls(links[i]); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		})
	}
	running.Wait()
	return all
}

// Two hundred people enroll at the same time, and nothing is lost: each has a device that
// counts and ten recovery codes, and the next code of each is good.
func TestManyEnrollAtOnce(t *testing.T) {
	t.Parallel()
	here := newPageSite(t, "crowd", "[policy]\nattempts = { per_source = 1000 }\n")
	here.CodeOnly(t, here.Name, "protocol=ssh")
	people := guests(crowd)
	links := here.invites(t, people...)
	all := allEnroll(t, here, people, links)
	if t.Failed() {
		return
	}
	var listed []struct{ User, State string }
	if err := json.Unmarshal([]byte(here.otpctl(t, "", "invite", "list", "--json")), &listed); err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, one := range listed {
		if one.State == "used" {
			used++
		}
	}
	if len(listed) != crowd || used != crowd {
		t.Errorf("of %d invitations %d are used, expected %d", len(listed), used, crowd)
	}
	for i := 0; i < crowd; i += 10 {
		code, err := codeOf(all[i].key, 1)
		if err != nil {
			t.Fatal(err)
		}
		if verdict := plainLogin(t, here.Name, people[i], code); verdict != hosts.PAMSuccess {
			t.Errorf("%s is not in with the next code: %d", people[i].Name, verdict)
		}
	}
	machine.PutEntriesAway(t, here.Site)
}

// Strangers try ten thousand wrong links, and hold as many connections as the page takes;
// a server that was taken over has the verifier look up names at which the name service
// hangs. Somebody enrolls beside them, and logs in.
func TestEnrollsBesideStrangers(t *testing.T) {
	t.Parallel()
	const wrong, atOnce, held = 10_000, 8, 1100
	here := newPageSite(t, "besieged", "[verifier]\nallow = [\"www-data\"]\n")
	p := machine.NewPerson(t, "besieged")
	links := here.invites(t, p)
	stop := namesHang(t, here.Site, p.Name)
	defer stop()
	var tried atomic.Int64
	begun := make(chan struct{})
	var running sync.WaitGroup
	// None of them is under way while more connections come than the page takes: it ends
	// the one that is the longest without a whole request.
	var trying sync.RWMutex
	for part := range atOnce {
		b := here.browser(t, "")
		running.Go(func() {
			for n := part; n < wrong; n += atOnce {
				b.from = fmt.Sprintf("10.2.%d.%d", n/250, 1+n%250)
				link := "/l/" + strings.Repeat("a", 28) + strings.NewReplacer("0", "b", "1", "c", "8", "d", "9", "e").Replace(fmt.Sprintf("%04d", n))
				trying.RLock()
				got, err := b.send([]string{"GET", "POST"}[n%2], link, nil)
				trying.RUnlock()
				if err != nil || got.status != http.StatusNotFound {
					t.Errorf("a wrong link: %v, %d\n%s", err, got.status, got.text)
				}
				if tried.Add(1) == wrong/10 {
					close(begun)
				}
			}
		})
	}
	defer running.Wait()
	<-begun
	trying.Lock()
	here.hold(t, held)
	trying.Unlock()
	has, err := here.browser(t, p.Address).enrolls(links[0])
	if err != nil {
		t.Fatal(err)
	}
	running.Wait()
	keepsItsMemory(t, here.Site, mostAtNames)
	stop()
	sshd := startSSHD(t, here.Site)
	code, err := codeOf(has.key, 1)
	if err != nil {
		t.Fatal(err)
	}
	expectIn(t, p, sshd.Login(t, p, answers(p, code)), 1)
}

// hold opens so many connections, and begins a request at each, which ends with t.
func (s pageSite) hold(t *testing.T, count int) {
	t.Helper()
	for range count {
		conn, err := net.Dial("unix", s.listen)
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Write([]byte("GET /l/")); err != nil && !errors.Is(err, syscall.EPIPE) {
			t.Error(err)
		}
	}
}

// A process with the page's uid that is not the page gets at nothing by itself: no secret
// file, no ledger, no command of the admin's, and no login of somebody else.
func TestPageUserHasNoRights(t *testing.T) {
	t.Parallel()
	here := newPageSite(t, "pages-user", "")
	here.CodeOnly(t, here.Name, "protocol=ssh")
	p := machine.NewPerson(t, "other").Enroll(t, here.Users)
	_ = here.invites(t, machine.WithoutUser("guest"))
	credential := machine.CredentialOf(t, "otpgate-portal")
	otpctl := machine.Files + "/otpctl"
	answer := fmt.Sprintf("answer %x\n", p.Code(t, 0)) // for pamlogin
	if output, err := asUser(credential, answer, otpctl, "version"); err != nil {
		t.Fatalf("it runs no program: %v\n%s", err, output)
	}
	for _, command := range [][]string{
		{"ls", here.Users}, {"ls", here.State}, {"cat", here.Users + "/" + p.Name + ".toml"}, {"find", here.State, "-type", "f"},
		{otpctl, "--config", here.Config, "list"}, {otpctl, "--config", here.Config, "status", p.Name},
		{otpctl, "--config", here.Config, "invite", p.Name, "--print", "--replace"}, {otpctl, "--config", here.Config, "invite", "list"},
		{otpctl, "--config", here.Config, "disable", p.Name}, {otpctl, "--config", here.Config, "export", "--recipient", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"},
		{machine.Files + "/pamlogin", here.Name, p.Name},
	} {
		if output, err := asUser(credential, answer, command...); err == nil || strings.Contains(output, p.Secret) || strings.Contains(output, "/l/") {
			t.Errorf("%q: %v\n%s", command, err, output)
		}
	}
	if lines := machine.Log.Lines("user="+p.Name+" ", "verdict=accepted"); len(lines) > 0 {
		t.Errorf("somebody is in:\n%s", machine.Text(lines))
	}
	if verdict := plainLogin(t, here.Name, p, p.Code(t, 0)); verdict != hosts.PAMSuccess {
		t.Errorf("root's own login: %d", verdict)
	}
}

// asUser runs a command as another user.
func asUser(credential *syscall.Credential, input string, command ...string) (output string, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdin = "/", strings.NewReader(input)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	text, err := cmd.CombinedOutput()
	return string(text), err
}
