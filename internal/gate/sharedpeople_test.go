package gate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger/castest"
)

const bobsKey = "people/bob/bob"

// inEtcd is enrolling with the secret files in a service that servers share.
func inEtcd(t *testing.T) (*fixture, *castest.Service) {
	t.Helper()
	p := enrolling(t)
	service, socket := castest.Serve(t)
	key := filepath.Join(t.TempDir(), "key")
	_, data := keyring.NewFile()
	if err := os.WriteFile(key, append(data, "# There is a spare copy elsewhere.\n"...), 0o400); err != nil {
		t.Fatal(err)
	}
	p.Config.Secrets.Keys = []string{key}
	p.Config.Ledger = &config.Ledger{Socket: socket, Prefix: castest.Prefix, Timeout: config.Duration{Duration: time.Minute}, People: true}
	p.Config.Paths.State = service.Noted(t)
	p.Accounts = userFiles{PlaceOf(p.Config)}
	return p, service
}

// enrolls is a conversation in which somebody enrolls, and the code they gave.
func (p *fixture) enrolls(t *testing.T) (conversation *script, first *string) {
	conversation, first = &script{}, new(string)
	conversation.answers = []any{"", func() any { *first = p.shown(t, conversation); return *first }, ""}
	return conversation, first
}

// Whoever enrolls at the login has done so on every server, whose name may be written in
// another case there.
func TestEnrollForAllServers(t *testing.T) {
	p, _ := inEtcd(t)
	conversation, first := p.enrolls(t)
	expect(t, p.login("bob", conversation), Accept, "totp:phone")
	other := *p.Gate
	other.Config.Paths.Users = "/none"
	other.Accounts = keyedFiles{userFiles{PlaceOf(other.Config)}, "/none"}
	q := &fixture{&other, p.Machine}
	expect(t, q.login("bob", says(*first, *first, *first)), TooMany, "policy.attempts.per_login")
	p.Clock = p.Clock.Add(30 * time.Second)
	expect(t, q.login("BOB", says(p.shown(t, conversation))), Accept, "totp:phone")
	if found, err := os.ReadDir(p.Config.Paths.Users); !errors.Is(err, os.ErrNotExist) && len(found) > 0 {
		t.Errorf("files: %v, %v", found, err)
	}
}

// Whose file is left where none counts any more is denied, in whatever case the name is
// written, and neither asked to enroll nor let in as somebody who never has. Whoever has
// break-glass codes is asked for one. Once the file is taken away the person can enroll.
func TestFileLeftBehind(t *testing.T) {
	p, service := inEtcd(t)
	p.Config.Policy.Require = nil
	p.Config.Paths.BreakGlass = t.TempDir()
	p.UseBreakGlass()
	codes := p.breakGlass(t, "root")
	for _, user := range []string{"carol", "root"} {
		p.Give(user)
		write(t, p.Config.Paths.Users, p.Known[user])
	}
	for _, user := range []string{"carol", "CAROL"} {
		verdict := p.login(user, says("123456"))
		expect(t, verdict, Fault, "secret-file")
		if path := p.Config.Paths.Users + "/carol.toml"; !strings.Contains(verdict.Reason, path) || !strings.Contains(verdict.Reason, "otpctl ledger move --people") {
			t.Errorf("the log says %q", verdict.Reason)
		}
	}
	expect(t, p.login("root", says(codes[0])), Accept, "break-glass")
	expect(t, p.login("stranger", says()), NotAsked, "not-enrolled")
	service.PutText("people/dave/dave", "version = 1\nuser = 'dave'\nnone = 1\n")
	expect(t, p.login("dave", says("123456")), Fault, "secret-file")
	if err := os.Remove(p.Config.Paths.Users + "/carol.toml"); err != nil {
		t.Fatal(err)
	}
	p.Config.Policy.Require = []config.Selector{"carol"}
	conversation, _ := p.enrolls(t)
	expect(t, p.login("carol", conversation), Accept, "totp:phone")
}

// Whoever enrolled where the name service writes the name in another case is asked by their
// device, if this machine's takes both for the same person. Another person of that name is not.
func TestSpelledElsewhere(t *testing.T) {
	p, _ := inEtcd(t)
	p.Config.Policy.Require = []config.Selector{"Carol"}
	conversation, first := p.enrolls(t)
	expect(t, p.login("Carol", conversation), Accept, "totp:phone")
	p.Config.Policy.Require = nil
	p.Aliases = map[string]string{"carol": "carol", "Carol": "carol"}
	expect(t, p.login("carol", says(*first, *first, *first)), TooMany, "policy.attempts.per_login")
	p.Clock = p.Clock.Add(30 * time.Second)
	expect(t, p.login("carol", says(p.shown(t, conversation))), Accept, "totp:phone")
	p.Aliases = map[string]string{"carol": "carol", "Carol": "Carol"}
	expect(t, p.login("carol", says()), NotAsked, "not-enrolled")
}

// Where it is not known which etcd counts, or another one answers, nobody passes for
// somebody who has not enrolled.
func TestAnotherEtcd(t *testing.T) {
	p, _ := inEtcd(t)
	p.Config.Policy.Require = nil
	other := *p.Gate
	other.Config.Paths.State = t.TempDir()
	other.Accounts = userFiles{PlaceOf(other.Config)}
	verdict := (&fixture{&other, p.Machine}).login("alice", says("123456"))
	expect(t, verdict, Fault, "ledger")
	if !strings.Contains(verdict.Reason, "otpctl ledger move --to etcd") {
		t.Errorf("the log says %q", verdict.Reason)
	}
	_, socket := castest.Serve(t)
	anew := *p.Config.Ledger
	anew.Socket = socket
	p.Config.Ledger = &anew
	p.Accounts = userFiles{PlaceOf(p.Config)}
	for _, user := range []string{"alice", "nobody-here"} {
		verdict := p.login(user, says("123456"))
		expect(t, verdict, Fault, "ledger")
		if !strings.Contains(verdict.Reason, "nothing is known of that") {
			t.Errorf("the log says %q", verdict.Reason)
		}
	}
}

// A lost answer costs nobody the enrollment.
func TestEnrollWhileAnAnswerIsLost(t *testing.T) {
	p, service := inEtcd(t)
	var lost atomic.Int32
	service.Lose(func(key string) bool { lost.Add(1); return key == bobsKey })
	conversation, _ := p.enrolls(t)
	expect(t, p.login("bob", conversation), Accept, "totp:phone")
	if lost.Load() != 1 {
		t.Errorf("%d changes", lost.Load())
	}
}

// Whose file somebody else changes while they enroll has not enrolled, is told so, and can.
func TestEnrollWhileSomebodyChangesTheFile(t *testing.T) {
	p, service := inEtcd(t)
	theirs := func(string) { service.PutText(bobsKey, "version = 1\nuser = 'bob'\nemail = 'bob@example.com'\n") }
	service.Before(theirs)
	conversation, first := p.enrolls(t)
	expect(t, p.login("bob", conversation), Deny, "policy.unenrolled")
	if conversation.told[len(conversation.told)-1] != notEnrolled {
		t.Errorf("told %q", conversation.told)
	}
	service.Before(nil)
	if person, err := p.Accounts.Load("bob"); err != nil || person.Email != "bob@example.com" || len(person.Factors) > 0 {
		t.Errorf("%+v, %v", person, err)
	}
	conversation, _ = p.enrolls(t)
	expect(t, p.login("bob", conversation), Accept, "totp:phone")
	if log := p.Lines(); strings.Count(log, "verdict=enrolled") != 1 || strings.Contains(log, *first) {
		t.Errorf("log:\n%s", log)
	}
}

// Where nobody can tell whether somebody has enrolled, the login is denied.
func TestEnrollAndNobodyKnows(t *testing.T) {
	p, service := inEtcd(t)
	service.Lose(func(key string) bool {
		service.PutText(key, "version = 1\nuser = 'bob'\n")
		return true
	})
	conversation, _ := p.enrolls(t)
	verdict := p.login("bob", conversation)
	expect(t, verdict, Fault, "enrollment")
	if conversation.told[len(conversation.told)-1] != cannotDecide || !strings.Contains(verdict.Reason, "not known") {
		t.Errorf("told %q, %q", conversation.told, verdict.Reason)
	}
}

// Where the files cannot be reached nobody passes for somebody who has none: neither who
// has not enrolled, nor by another spelling. Whoever has break-glass codes is asked for one.
func TestFilesOutOfReach(t *testing.T) {
	p, _ := inEtcd(t)
	p.Config.Policy.Require = nil
	p.Config.Policy.Exempt = []config.Selector{"backup"}
	p.Config.Ledger.Socket, p.Config.Ledger.Timeout = "/none", config.Duration{Duration: time.Second}
	p.Config.Paths.BreakGlass = t.TempDir()
	p.Accounts = userFiles{PlaceOf(p.Config)}
	p.UseBreakGlass()
	codes := p.breakGlass(t, "root")
	for _, user := range []string{"alice", "ALICE", "stranger"} {
		verdict := p.login(user, says("123456"))
		expect(t, verdict, Fault, "ledger")
		if !strings.Contains(verdict.Reason, "otpgate-ledgerd at /none") {
			t.Errorf("the log says %q", verdict.Reason)
		}
	}
	expect(t, p.login("root", says(codes[0])), Accept, "break-glass")
	expect(t, p.login("backup", says()), NotAsked, "policy.exempt")
}
