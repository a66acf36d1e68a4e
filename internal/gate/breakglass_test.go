package gate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// newAlone is a client of which no server can be reached, and the codes of root there.
func newAlone(t *testing.T) (p *fixture, codes []string) {
	t.Helper()
	p = newFixture(t)
	p.Config.Remote = &config.Remote{Servers: []string{"h:1"}}
	p.Config.Paths.BreakGlass, p.Config.Paths.State = t.TempDir(), t.TempDir()
	p.UseBreakGlass()
	return p, p.breakGlass(t, "root")
}

// breakGlass makes codes of name.
func (p *fixture) breakGlass(t *testing.T, name string) []string {
	t.Helper()
	codes, kept := breakglass.New(name, p.Clock)
	if err := breakglass.Save(p.Config.Paths.BreakGlass, kept); err != nil {
		t.Fatal(err)
	}
	return codes
}

func wrongBreakGlassCodes(n int) (codes []any) {
	for i := range n {
		codes = append(codes, fmt.Sprintf("0000-0000-0000-%04d", i))
	}
	return codes
}

var errDown = errors.New("otp1:9152: connection refused")

// away is a login of which the verifier has found that no server can be reached.
func (p *fixture) away(user string, conversation *script) Verdict {
	return p.Unreachable(context.Background(), Request{User: user, Service: "sshd", RemoteHost: "192.0.2.1"}, conversation, "remote", errDown)
}

// A break-glass code is good once, for whom it is, by a core that can ask nobody and by
// whoever has asked in vain.
func TestBreakGlassOnce(t *testing.T) {
	p, codes := newAlone(t)
	for i, login := range []func(string, *script) Verdict{p.login, p.away} {
		conversation := says(codes[i])
		v := login("root", conversation)
		expect(t, v, Accept, "break-glass")
		if want := fmt.Sprintf("%d left", 7-i); !strings.HasPrefix(v.Reason, want) || strings.Contains(v.Reason, codes[i]) {
			t.Errorf("the log says %q", v.Reason)
		}
		if conversation.told[0] != askBreakGlass || conversation.told[1] != fmt.Sprintf("Break-glass code accepted. You have %d left on this machine.", 7-i) {
			t.Errorf("told %q", conversation.told)
		}
		conversation = says(codes[i], codes[i], codes[i])
		expect(t, login("root", conversation), TooMany, "policy.attempts.per_login")
		if conversation.told[1] != usedBreakGlass {
			t.Errorf("told %q", conversation.told)
		}
	}
	last := p.Log()[2].Line()
	if want := `user=root service=sshd protocol=ssh remote=192.0.2.1 verdict=accepted rule=break-glass reason="6 left; a break-glass code was asked for as otp1:9152: connection refused"`; last != want {
		t.Errorf("audit: %s", last)
	}
}

// Whoever has no codes here is asked nothing, and denied for the reason of before.
func TestBreakGlassOfNobody(t *testing.T) {
	p, codes := newAlone(t)
	p.Give("alice")
	for _, name := range []string{"alice", "carol", "nss-down", "toor"} {
		p.SameUID = map[string][]string{"toor": {"root", "toor"}}
		for _, login := range []func(string, *script) Verdict{p.login, p.away} {
			conversation := says(codes[0])
			expect(t, login(name, conversation), Fault, "remote")
			if conversation.asked > 0 || len(conversation.told) != 1 || conversation.told[0] != cannotDecide {
				t.Errorf("%s: asked %d times, told %q", name, conversation.asked, conversation.told)
			}
		}
	}
	expect(t, p.away("../root", says(codes[0])), Fault, "break-glass")
	// The system's own spelling is the same person.
	p.Aliases = map[string]string{"ROOT": "root"}
	expect(t, p.away("ROOT", says(codes[0])), Accept, "break-glass")
	expect(t, p.away("root", says(codes[0], codes[0], codes[0])), TooMany, "policy.attempts.per_login")
	for _, code := range codes[1:] {
		expect(t, p.away("root", says(code)), Accept, "break-glass")
	}
	v := p.away("root", says(codes[0]))
	expect(t, v, Fault, "remote")
	if !strings.Contains(v.Reason, "all break-glass codes of root have been used") {
		t.Errorf("the log says %q", v.Reason)
	}
}

// The policy's exceptions come first, and a machine that decides by itself asks for no
// break-glass code.
func TestBreakGlassIsNotAsked(t *testing.T) {
	p, codes := newAlone(t)
	p.Config.Policy.Exempt = []config.Selector{"root"}
	expect(t, p.login("root", says()), NotAsked, "policy.exempt")
	p.Config.Policy.Exempt, p.Config.Remote, p.BreakGlass = nil, nil, nil
	p.UseBreakGlass()
	if p.BreakGlass != nil {
		t.Error("it has break-glass codes")
	}
	p.Config.Policy.Require = []config.Selector{config.All}
	expect(t, p.login("root", says(codes[0])), Deny, "policy.unenrolled")
	p.Give("root")
	expect(t, p.login("root", says(codes[0], codes[0], codes[0])), TooMany, "policy.attempts.per_login")
}

// Fifty at once with one code: one is in.
func TestBreakGlassManyAtOnce(t *testing.T) {
	p, codes := newAlone(t)
	var all sync.WaitGroup
	verdicts := make([]Verdict, 50)
	for i := range verdicts {
		all.Go(func() {
			login := p.away
			if i%2 == 0 {
				login = p.login
			}
			verdicts[i] = login("root", says(codes[0]))
		})
	}
	all.Wait()
	in := 0
	for _, v := range verdicts {
		if v.Decision == Accept {
			in++
		} else if v.Decision != Deny || v.Rule != "no-answer" {
			t.Errorf("%+v", v)
		}
	}
	if in != 1 {
		t.Errorf("%d are in", in)
	}
}

// Fifty at once guess no more than one after the other, by a verifier and by cores.
func TestBreakGlassGuessesAtOnce(t *testing.T) {
	p, codes := newAlone(t)
	var all sync.WaitGroup
	conversations := make([]*script, 50)
	for i := range conversations {
		conversations[i] = says(wrongBreakGlassCodes(3)...)
		all.Go(func() {
			login := p.away
			if i%2 == 0 {
				login = p.login
			}
			login("root", conversations[i])
		})
	}
	all.Wait()
	wrong := 0
	for _, conversation := range conversations {
		for _, told := range conversation.told {
			if told == wrongBreakGlass {
				wrong++
			}
		}
	}
	// The tenth wrong one tells of the lock instead.
	if entry, err := p.BreakGlass.Ledger.View(t.Context(), breakglass.Key("root")); wrong != 9 || err != nil || entry.Attempts.Unseen != 10 {
		t.Errorf("%d were told that theirs was wrong, %+v, %v", wrong, entry.Attempts, err)
	}
	expect(t, p.away("root", says(codes[0])), TooMany, "policy.attempts.per_window")
}

// Wrong codes lock the person's break-glass codes, and the address, as elsewhere; what
// cannot be a code is no guess.
func TestBreakGlassAttempts(t *testing.T) {
	p, codes := newAlone(t)
	other := p.breakGlass(t, "bert")
	conversation := says("123456", "  ", "0000 0000 0000 0000")
	expect(t, p.away("root", conversation), TooMany, "policy.attempts.per_login")
	if conversation.told[1] != noBreakGlass {
		t.Errorf("told %q", conversation.told)
	}
	for range 3 {
		expect(t, p.away("root", says(wrongBreakGlassCodes(3)...)), TooMany, "policy.attempts.per_login")
	}
	expect(t, p.away("root", says(wrongBreakGlassCodes(1)...)), TooMany, "policy.attempts.per_window")
	conversation = says(codes[0])
	expect(t, p.away("root", conversation), TooMany, "policy.attempts.per_window")
	if conversation.asked > 0 {
		t.Error("asked while locked")
	}
	expect(t, p.away("bert", says(other[0])), Accept, "break-glass")
	p.Clock = p.Clock.Add(p.Config.Policy.Attempts.Window.Duration)
	conversation = says(codes[0])
	expect(t, p.away("root", conversation), Accept, "break-glass")
	if len(conversation.told) != 3 || !strings.HasPrefix(conversation.told[2], "10 wrong codes were given in your name") {
		t.Errorf("told %q", conversation.told)
	}
	p.Clock = p.Clock.Add(budgetTime)
	p.Config.Policy.Attempts.PerSource = 3
	expect(t, p.away("root", says(wrongBreakGlassCodes(3)...)), TooMany, "policy.attempts.per_login")
	expect(t, p.away("bert", says(other[1])), TooMany, "policy.attempts.per_source")
	// Programs of others than root lock themselves alone out.
	p.Clock = p.Clock.Add(p.Config.Policy.Attempts.Window.Duration)
	p.Config.Policy.Attempts.PerSource = 100
	p.Peer = "uid 33"
	for range 4 {
		p.away("root", says(wrongBreakGlassCodes(3)...))
	}
	expect(t, p.away("root", says(codes[1])), TooMany, "policy.attempts.per_window")
	p.Peer = ""
	expect(t, p.away("root", says(codes[1])), Accept, "break-glass")
}

// Doubt denies: files that are not as they must be, a ledger that fails, an answer that
// does not come, codes that are taken away while one is typed.
func TestBreakGlassDoubt(t *testing.T) {
	p, codes := newAlone(t)
	path := breakglass.Path(p.Config.Paths.BreakGlass, "root")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	conversation := says(codes[0])
	v := p.away("root", conversation)
	expect(t, v, Fault, "break-glass")
	if !strings.Contains(v.Reason, path+": unsafe file: mode 0640, expected at most 0600") || !strings.Contains(v.Reason, errDown.Error()) || conversation.asked > 0 {
		t.Errorf("asked %d times, the log says %q", conversation.asked, v.Reason)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, p.away("root", says(errors.New("gone"))), Deny, "no-answer")
	again := Answer{Password: true}
	expect(t, p.away("root", says(again, again)), TooMany, "password-repeated")
	expect(t, p.away("root", says(again, codes[0])), Accept, "break-glass")
	remove := func() any {
		if err := breakglass.Remove(p.Config.Paths.BreakGlass, "root"); err != nil {
			t.Fatal(err)
		}
		return codes[1]
	}
	expect(t, p.away("root", says(remove)), Deny, "break-glass")
	codes = p.breakGlass(t, "root")
	store := p.BreakGlass.Ledger
	p.BreakGlass.Ledger = broken{}
	expect(t, p.away("root", says(codes[0])), Fault, "ledger")
	p.BreakGlass.Ledger = full{store}
	expect(t, p.away("root", says(codes[0])), Fault, "ledger")
	p.BreakGlass.Ledger = store
	expect(t, p.away("root", says(codes[0])), Accept, "break-glass")
}

// broken is a ledger that fails, full one that can be read.
type broken struct{}

func (broken) View(context.Context, ledger.Key) (ledger.Entry, error) {
	return ledger.Entry{}, fs.ErrPermission
}
func (broken) Update(context.Context, ledger.Key, func(*ledger.Entry) error) error {
	return fs.ErrPermission
}
func (broken) Close() error { return nil }

type full struct{ ledger.Store }

func (full) Update(context.Context, ledger.Key, func(*ledger.Entry) error) error {
	return errors.New("no space left on device")
}

// Where the ledger is on other machines and cannot be reached, enrolled people are asked
// for break-glass codes, unless something was asked before.
func TestBreakGlassWithoutTheLedger(t *testing.T) {
	p, far := newWithoutLedger(t)
	codes := p.breakGlass(t, "root")
	p.Give("root")
	p.Give("alice")
	expect(t, p.login("root", says(p.Code(t, "root", 0))), Accept, "totp:phone")
	far.away = true
	expect(t, p.login("root", says(codes[0])), Accept, "break-glass")
	expect(t, p.login("root", says(codes[0], codes[0], codes[0])), TooMany, "policy.attempts.per_login")
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Fault, "ledger")
	// At the first answer it is gone: nothing else is asked for.
	far.away = false
	expect(t, p.login("root", says(func() any { far.away = true; return p.Code(t, "root", 1) }, codes[1])), Fault, "ledger")
	far.away = false
	p.Clock = p.Clock.Add(time.Minute)
	expect(t, p.login("root", says(codes[1], codes[1], codes[1])), TooMany, "policy.attempts.per_login")
}

// newWithoutLedger is a server whose ledger is on other machines.
func newWithoutLedger(t *testing.T) (*fixture, *unreachable) {
	t.Helper()
	p := newFixture(t)
	p.Config.Ledger = &config.Ledger{}
	p.Config.Paths.BreakGlass, p.Config.Paths.State = t.TempDir(), t.TempDir()
	p.UseBreakGlass()
	far := &unreachable{Store: p.Ledger}
	p.Ledger = far
	return p, far
}

// Behind a password such a code is taken off whether or not the ledger was asked before
// it, and only where anybody has any: passwords may look like that elsewhere.
func TestBreakGlassBehindPasswordWithoutTheLedger(t *testing.T) {
	p, far := newWithoutLedger(t)
	p.Give("alice")
	person := p.Known["alice"]
	person.Recovery = account.Recovery{} // those codes have the same form
	p.Known["alice"] = person
	const code = "0123-4567-89ab-cdef"
	for _, session := range []time.Duration{0, time.Hour} {
		p.Config.Policy.Session = config.Duration{Duration: session}
		far.away = true
		if n, _, err := p.split("alice", "secret"+code); n != 0 || (err != nil) != (session > 0) {
			t.Errorf("nobody has codes, session %v: %d, %v", session, n, err)
		}
		p.breakGlass(t, "root")
		if n, _, err := p.split("alice", "secret"+code); n != len(code) || err != nil {
			t.Errorf("session %v: %d, %v", session, n, err)
		}
		if err := breakglass.Remove(p.Config.Paths.BreakGlass, "root"); err != nil {
			t.Fatal(err)
		}
	}
}

// unreachable is a ledger on other machines.
type unreachable struct {
	ledger.Store
	away bool
}

func (u *unreachable) View(ctx context.Context, key ledger.Key) (ledger.Entry, error) {
	if u.away {
		return ledger.Entry{}, fmt.Errorf("etcd1:2379: %w", ledger.ErrUnreachable)
	}
	return u.Store.View(ctx, key)
}

func (u *unreachable) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if u.away {
		return fmt.Errorf("etcd1:2379: %w", ledger.ErrUnreachable)
	}
	return u.Store.Update(ctx, key, change)
}

// A core of an ordinary user's cannot look; a file that its own directory's user cannot
// read is a fault of the machine's.
func TestBreakGlassHidden(t *testing.T) {
	if os.Getenv("BREAKGLASS_DIR") != "" {
		if err := errors.Join(syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			t.Fatal(err)
		}
		p := newFixture(t)
		p.Config.Remote = &config.Remote{Servers: []string{"h:1"}}
		p.Config.Paths.BreakGlass, p.Config.Paths.State = os.Getenv("BREAKGLASS_DIR"), t.TempDir()
		p.UseBreakGlass()
		v := p.away("root", says())
		fmt.Println(v.Decision, v.Rule, v.Reason)
		return
	}
	p, _ := newAlone(t)
	dir := p.Config.Paths.BreakGlass
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // this test's own
		t.Fatal(err)
	}
	for _, test := range []struct {
		mode os.FileMode
		want string
	}{
		{0o700, "fault remote otp1:9152: connection refused; break-glass codes are not for this user to look at"},
		{0o755, "fault break-glass break-glass codes: open " + dir + "/root.toml: permission denied"},
	} {
		if err := os.Chmod(dir, test.mode); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestBreakGlassHidden$", "-test.v")
		cmd.Env = append(os.Environ(), "BREAKGLASS_DIR="+dir, "GORACE=atexit_sleep_ms=0")
		if output, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(output), test.want) {
			t.Errorf("%v: %v\n%s", test.mode, err, output)
		}
	}
}
