package gate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/castest"
)

// sharing has a server with files of its own share a ledger in a service.
func sharing(t *testing.T, p *fixture) *castest.Service {
	t.Helper()
	service, socket := castest.Serve(t)
	p.Config.Ledger = &config.Ledger{Socket: socket, Prefix: castest.Prefix, Timeout: config.Duration{Duration: time.Minute}}
	p.Config.Paths.BreakGlass, p.Config.Paths.State = t.TempDir(), service.Noted(t)
	p.Elsewhere = elsewhereOf(p.Config)
	p.UseBreakGlass()
	return service
}

// Where other servers have people in etcd, whoever has not enrolled in this server's files may
// have enrolled there: nobody is let in for that, nor enrolls a second time. Who is asked here,
// or is not to be asked, is as before. Whoever has break-glass codes is asked for one.
func TestEnrolledElsewhere(t *testing.T) {
	p := newFixture(t)
	for _, user := range []string{"alice", "off", "unfinished"} {
		p.Give(user)
	}
	off := p.Known["off"]
	off.Enabled = false
	p.Known["off"] = off
	p.Known["unfinished"].Factors[0].Confirmed = time.Time{}
	p.Config.Policy.Require = []config.Selector{"games"}
	p.Config.Policy.Unenrolled = config.Enroll
	p.Config.Policy.Exempt = []config.Selector{"backup"}
	service := sharing(t, p)
	for _, user := range []string{"stranger", "off", "unfinished"} {
		expect(t, p.login(user, says()), NotAsked, "not-enrolled")
	}
	service = sharing(t, p)
	service.PutText("people/stranger/stranger", "")
	codes := p.breakGlass(t, "root")
	for _, user := range []string{"stranger", "off", "unfinished", "games"} {
		verdict := p.login(user, says())
		expect(t, verdict, Fault, "ledger")
		if !strings.Contains(verdict.Reason, "set ledger.people = true") {
			t.Errorf("the log says %q", verdict.Reason)
		}
		if need, err := p.Need(t.Context(), Request{User: user}); err == nil {
			t.Errorf("%s: %+v", user, need)
		}
	}
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	expect(t, p.login("backup", says()), NotAsked, "policy.exempt")
	expect(t, p.login("root", says(codes[0])), Accept, "break-glass")
	if n, _, err := p.split("stranger", "secret123456"); n != 0 || err != nil {
		t.Errorf("before the password: %d, %v", n, err)
	}
}

// What cannot tell whether people are in etcd counts as if they were: etcd that was not
// reached yet, another one than the one that has this machine's ledger, another prefix, a
// note that cannot be read, and an engine that nobody has told how to ask.
func TestUnknownWhetherElsewhere(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(t *testing.T, p *fixture)
		reason string
	}{
		"not reached": {func(_ *testing.T, p *fixture) {
			p.Config.Ledger.Socket, p.Config.Ledger.Timeout = "/none", config.Duration{Duration: time.Second}
		}, "otpgate-ledgerd at /none"},
		"another etcd": {func(t *testing.T, p *fixture) {
			_, p.Config.Ledger.Socket = castest.Serve(t)
		}, "nothing is known of that"},
		"another prefix": {func(_ *testing.T, p *fixture) {
			p.Config.Ledger.Prefix = "other/"
		}, "put back the prefix"},
		"unreadable": {func(t *testing.T, p *fixture) {
			if err := os.WriteFile(filepath.Join(p.Config.Paths.State, "moved"), []byte("?"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "expected the lines"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newFixture(t)
			p.Give("alice")
			sharing(t, p)
			test.do(t, p)
			p.Elsewhere = elsewhereOf(p.Config)
			verdict := p.login("stranger", says())
			expect(t, verdict, Fault, "ledger")
			if !strings.Contains(verdict.Reason, test.reason) {
				t.Errorf("the log says %q", verdict.Reason)
			}
			expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
		})
	}
	p := newFixture(t)
	p.Config.Ledger = &config.Ledger{}
	expect(t, p.login("stranger", says()), Fault, "internal")
	p.Config.Ledger = nil
	expect(t, p.login("stranger", says()), NotAsked, "not-enrolled")
}

// A ledger that is still under way to etcd keeps nobody from being asked about who is there, nor
// from being let in as nobody is.
func TestElsewhereWhileTheLedgerIsMoved(t *testing.T) {
	for _, people := range []bool{false, true} {
		p := newFixture(t)
		service := sharing(t, p)
		p.Config.Paths.State = t.TempDir()
		files, err := ledger.OpenFiles(p.Config.Paths.State)
		if err == nil {
			err = files.Update(t.Context(), ledger.UserKey("root"), func(entry *ledger.Entry) error { entry.Attempts.Wrong++; return nil })
		}
		if err != nil {
			t.Fatal(err)
		}
		decision, rule := NotAsked, "not-enrolled"
		if people {
			service.PutText("people/alice/alice", "version = 1\n")
			decision, rule = Fault, "ledger"
		}
		p.Elsewhere = elsewhereOf(p.Config)
		expect(t, p.login("stranger", says()), decision, rule)
		move, err := ledger.OpenMove(t.Context(), p.Config.Paths.State)
		if err == nil {
			defer move.Close()
			err = move.Begin(ledger.Moved{To: "etcd", Prefix: castest.Prefix, ID: "0123456789abcdef", Begun: time.Now()})
		}
		if err != nil {
			t.Fatal(err)
		}
		expect(t, p.login("stranger", says()), decision, rule)
	}
}

// Nothing is asked where files are all that there is, or etcd is.
func TestAsksElsewhere(t *testing.T) {
	for _, test := range []struct {
		ledger *config.Ledger
		want   bool
	}{{nil, false}, {&config.Ledger{People: true}, false}, {&config.Ledger{}, true}} {
		settings := config.Default()
		settings.Ledger = test.ledger
		if got := elsewhereOf(settings) != nil; got != test.want {
			t.Errorf("%+v: %v, expected %v", test.ledger, got, test.want)
		}
	}
}
