package gate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/castest"
)

// sharing has a server with files of its own share a ledger in a service.
func sharing(t *testing.T, p *fixture) *castest.Service {
	t.Helper()
	service, socket := castest.Serve(t)
	p.Config.Ledger = &config.Ledger{Socket: socket, Prefix: castest.Prefix, Timeout: config.Duration{Duration: time.Minute}}
	p.Config.Paths.BreakGlass, p.Config.Paths.State = t.TempDir(), service.Noted(t)
	p.Elsewhere = elsewhereOf(p.Config, time.Minute)
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
	for user, password := range map[string]string{"stranger": "secret123456", "root": "secret" + codes[1]} {
		if n, _, err := p.split(user, password); n != 0 || err != nil {
			t.Errorf("%s, before the password: %d, %v", user, n, err)
		}
	}
}

// Who cannot tell whether people are in etcd keeps nobody out: nobody listens, etcd was not
// reached yet or refuses, an older otpgate-ledgerd does not know the question, nothing answers.
// The log says it once, and nobody is asked again for a moment. What was known before stands.
func TestUnknownWhetherElsewhere(t *testing.T) {
	for name, test := range map[string]struct {
		socket func(t *testing.T) string
		within time.Duration
		reason string
	}{
		"nobody listens": {func(*testing.T) string { return "/none" }, time.Minute, "otpgate-ledgerd at /none"},
		"not reached": {func(t *testing.T) string {
			return castest.ServeRegisters(t, castest.Silent{Err: fmt.Errorf("%w: no leader", casledger.ErrUnavailable)})
		}, time.Minute, "no leader"},
		"refused": {func(t *testing.T) string {
			return castest.ServeRegisters(t, castest.Silent{Err: errors.New("permission denied")})
		}, time.Minute, "permission denied"},
		"older": {func(t *testing.T) string { return castest.ServeNobody(t) }, time.Minute, "no answer from otpgate-ledgerd at "},
		"hangs": {func(t *testing.T) string { return castest.ServeRegisters(t, castest.Silent{}) }, time.Millisecond, "it is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newFixture(t)
			p.Give("alice")
			sharing(t, p)
			p.Config.Ledger.Socket = test.socket(t)
			p.Elsewhere = elsewhereOf(p.Config, test.within)
			for range 3 {
				expect(t, p.login("stranger", says()), NotAsked, "not-enrolled")
			}
			expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
			if need, err := p.Need(t.Context(), Request{User: "stranger"}); err != nil || need.Code != NoCode {
				t.Errorf("%+v, %v", need, err)
			}
			var remarks []string
			for _, line := range p.Log() {
				if line.Verdict == "not-known" && line.Rule == "ledger" && line.User == "stranger" {
					remarks = append(remarks, line.Reason)
				}
			}
			if len(remarks) != 1 || !strings.Contains(remarks[0], test.reason) || !strings.Contains(remarks[0], "other servers have people in etcd") {
				t.Errorf("the log says %q", remarks)
			}
		})
	}
}

// What is wrong with this machine's own settings is no want of an answer, and denies: another
// etcd than the one that has this machine's ledger, another prefix, a note that cannot be read,
// and an engine that nobody has told how to ask.
func TestWronglySetElsewhere(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(t *testing.T, p *fixture)
		reason string
	}{
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
			p.Elsewhere = elsewhereOf(p.Config, time.Minute)
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
		p.Elsewhere = elsewhereOf(p.Config, time.Minute)
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
		if got := elsewhereOf(settings, time.Minute) != nil; got != test.want {
			t.Errorf("%+v: %v, expected %v", test.ledger, got, test.want)
		}
	}
}
