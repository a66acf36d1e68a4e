package admin

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/ledger"
)

// renamePlace is alice with an app, scratch codes of which "12345678" is used,
// and a token of which the counters up to 4 are. Whoever is not asked is refused.
func renamePlace(t *testing.T) *fixture {
	t.Helper()
	p := newPlaceOnDisk(t)
	what := alices(p)
	token := what.Factors[0].Factor
	token.ID, token.Kind, token.Period = "token", account.HOTP, 0
	what.Factors = append(what.Factors, ImportedFactor{token, &ledger.Use{Step: 4}})
	if _, err := p.Import(t.Context(), what); err != nil {
		t.Fatal(err)
	}
	expect(t, p.login("alice", says("12345678")), gate.Accept, "recovery")
	expect(t, p.login("alice", says(codeOf(t, p, 1))), gate.Accept, "totp:phone")
	p.Config.Policy.Require = []config.Selector{config.All}
	return p
}

// expectRefused tries, as user, all that was used.
func expectRefused(t *testing.T, p *fixture, user string) {
	t.Helper()
	for _, code := range []string{codeOf(t, p, 0), codeOf(t, p, 1), "12345678", tokenCode(t, p, 3), tokenCode(t, p, 4)} {
		if v := p.login(user, says(code)); v.Decision == gate.Accept || v.Decision == gate.NotAsked {
			t.Errorf("%s with a used code: %+v", user, v)
		}
	}
}

// expectMoved has alicia be what alice was, and alice nobody.
func expectMoved(t *testing.T, p *fixture) {
	t.Helper()
	expectRefused(t, p, "alicia")
	expectRefused(t, p, "alice")
	expect(t, p.login("alicia", says("22345678")), gate.Accept, "recovery")
	expect(t, p.login("alicia", says(tokenCode(t, p, 5))), gate.Accept, "hotp:token")
	p.Clock = p.Clock.Add(time.Minute)
	expect(t, p.login("alicia", says(codeOf(t, p, 1))), gate.Accept, "totp:phone")
	if _, err := os.Stat(p.file("alice")); !os.IsNotExist(err) {
		t.Errorf("alice's file: %v", err)
	}
}

func (p *fixture) file(name string) string { return p.Config.Paths.Users + "/" + name + ".toml" }

func TestRename(t *testing.T) {
	p := renamePlace(t)
	before, err := os.ReadFile(p.file("alice"))
	if err != nil {
		t.Fatal(err)
	}
	p.Config.Policy.Session.Duration = time.Hour
	p.Clock = p.Clock.Add(time.Minute)
	request := gate.Request{User: "alice", Service: "sshd", RemoteHost: "192.0.2.9"}
	expect(t, p.Login(t.Context(), request, says(codeOf(t, p, 1))), gate.Accept, "totp:phone")
	expect(t, p.Login(t.Context(), request, says()), gate.NotAsked, "policy.session")
	p.login("alice", says("000000", "000000"))
	done, err := p.Rename(t.Context(), "alice", "alicia")
	if err != nil || done.RecoveryLeft != 1 || done.Person.User != "alicia" {
		t.Fatalf("%+v, %v", done, err)
	}
	entry := p.entryOf(t, "alicia")
	if entry.Attempts.Wrong != 2 || entry.LastLogin.IsZero() || len(entry.Sessions) != 0 || len(entry.Services) != 1 {
		t.Errorf("carried: %+v", entry)
	}
	if last := entry.Recent[len(entry.Recent)-1]; len(entry.Recent) != 4 || !last.Denied || last.At != p.Clock {
		t.Errorf("carried logins: %+v", entry.Recent)
	}
	if old := p.entryOf(t, "alice"); len(old.Recent) != 0 || old.Attempts != (ledger.Attempts{}) || len(old.Sessions) != 0 {
		t.Errorf("left: %+v", old)
	}
	request.User = "alicia"
	if v := p.Login(t.Context(), request, says()); v.Decision != gate.Deny {
		t.Errorf("a login that was remembered for alice: %+v", v)
	}
	p.Config.Policy.Session.Duration = 0
	expectMoved(t, p)
	// The old file out of a backup: nothing of it is good, not even what is unused.
	if err := os.WriteFile(p.file("alice"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Clock = p.Clock.Add(time.Hour)
	for _, code := range []string{codeOf(t, p, 0), "22345678", tokenCode(t, p, 7)} {
		if v := p.login("alice", says(code)); v.Decision == gate.Accept {
			t.Errorf("the former name with %s: %+v", code, v)
		}
	}
}

func (p *fixture) entryOf(t *testing.T, name string) ledger.Entry {
	t.Helper()
	entry, err := p.Ledger.View(t.Context(), ledger.Key{Kind: ledger.User, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// killed is a ledger at whose call number at the process dies, before the call or
// behind it.
type killed struct {
	ledger.Store
	at    int
	after bool
}

var errKilled = errors.New("killed")

func (k *killed) die(call func() error) error {
	k.at--
	if k.at == 0 && !k.after {
		panic(errKilled)
	}
	err := call()
	if k.at == 0 {
		panic(errKilled)
	}
	return err
}

func (k *killed) View(ctx context.Context, key ledger.Key) (entry ledger.Entry, err error) {
	err = k.die(func() (err error) { entry, err = k.Store.View(ctx, key); return err })
	return entry, err
}

func (k *killed) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	return k.die(func() error { return k.Store.Update(ctx, key, change) })
}

// Whenever it is killed, nobody is let in by it, and the same again ends it.
func TestRenameKilled(t *testing.T) {
	for _, test := range []struct {
		name  string
		at    int
		after bool
		gone  bool // the old file had been removed
	}{
		{"before the entry is read", 2, false, false},
		{"before the entry is copied", 3, false, false},
		{"behind that", 3, true, false},
		{"before the entry is retired", 4, false, false},
		{"behind that", 4, true, false},
		{"before the new file is opened", 4, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := renamePlace(t)
			store := p.Ledger
			p.Ledger = &killed{store, test.at, test.after}
			func() {
				defer func() {
					if recover() != errKilled {
						t.Error("it was not killed")
					}
				}()
				_, _ = p.Rename(t.Context(), "alice", "alicia")
			}()
			p.Ledger = store
			if test.gone {
				if err := os.Remove(p.file("alice")); err != nil {
					t.Fatal(err)
				}
			}
			if v := p.login("alicia", says(codeOf(t, p, 2), "22345678")); v.Decision != gate.Fault || v.Rule != "secret-file" {
				t.Errorf("half-way: %+v", v)
			}
			expectRefused(t, p, "alice")
			if err := p.Ledger.Update(t.Context(), ledger.Key{Kind: ledger.User, Name: "alice"}, func(e *ledger.Entry) error {
				e.Attempts = ledger.Attempts{} // of the tries above
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Rename(t.Context(), "alice", "alicia"); err != nil {
				t.Fatal(err)
			}
			expectMoved(t, p)
		})
	}
}

// Whoever moves the file and edits the user is told what to do, by a file that
// otpctl wrote; the command then mends it, also with one of an earlier version.
func TestRenameByHand(t *testing.T) {
	for _, test := range []struct {
		name    string
		edit    func(text string) string
		refused string
	}{
		{"moved alone", func(text string) string { return text }, "otpctl rename alice alicia"},
		{"the user edited", func(text string) string { return strings.Replace(text, "user = 'alice'", "user = 'alicia'", 1) }, "otpctl rename OLD alicia"},
		{"of an earlier version", func(text string) string {
			return without(strings.Replace(text, "user = 'alice'", "user = 'alicia'", 1), "binding")
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := renamePlace(t)
			text, err := os.ReadFile(p.file("alice"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p.file("alicia"), []byte(test.edit(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(p.file("alice")); err != nil {
				t.Fatal(err)
			}
			if v := p.login("alicia", says()); test.refused != "" && (v.Decision != gate.Fault || !strings.Contains(v.Reason, test.refused)) {
				t.Errorf("before: %+v", v)
			}
			if _, err := p.Rename(t.Context(), "alice", "alicia"); err != nil {
				t.Fatal(err)
			}
			expectMoved(t, p)
		})
	}
}

// without takes the lines of a key out of a file.
func without(text, key string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, key+" ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// Somebody who comes back to a former name is asked as under the later one.
func TestRenameBack(t *testing.T) {
	p := renamePlace(t)
	for _, names := range [][2]string{{"alice", "alicia"}, {"alicia", "alice"}, {"alice", "alicia"}} {
		done, err := p.Rename(t.Context(), names[0], names[1])
		if err != nil || done.RecoveryLeft != 1 {
			t.Fatalf("%v: %+v, %v", names, done, err)
		}
	}
	expectMoved(t, p)
}

// What is used while the name changes is used.
func TestRenameDuringLogins(t *testing.T) {
	p := renamePlace(t)
	p.Clock = p.Clock.Add(time.Minute)
	code := codeOf(t, p, 0)
	accepted := make(chan string, 100)
	var logins sync.WaitGroup
	for i := range 20 {
		user := []string{"alice", "alicia"}[i%2]
		logins.Go(func() {
			if v := p.login(user, says(code)); v.Decision == gate.Accept {
				accepted <- user
			}
		})
	}
	if _, err := p.Rename(t.Context(), "alice", "alicia"); err != nil && !errors.Is(err, errUsedMeanwhile) {
		t.Error(err)
	}
	logins.Wait()
	if v := p.login("alicia", says(code)); v.Decision == gate.Accept {
		accepted <- "alicia, later"
	}
	if len(accepted) > 1 {
		t.Errorf("%d logins with one code", len(accepted))
	}
}

// A file that came back after its devices went to another name goes to no third,
// by the command or by hand: what was used since is known of the other alone.
func TestRenameOfWhatWentElsewhere(t *testing.T) {
	for name, begin := range map[string]func(p *fixture, old []byte) error{
		"the file": func(p *fixture, old []byte) error { return os.WriteFile(p.file("alice"), old, 0o600) },
		"moved by hand": func(p *fixture, old []byte) error {
			return os.WriteFile(p.file("carol"), []byte(strings.Replace(string(old), "user = 'alice'", "user = 'carol'", 1)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := renamePlace(t)
			old, err := os.ReadFile(p.file("alice"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Rename(t.Context(), "alice", "alicia"); err != nil {
				t.Fatal(err)
			}
			expect(t, p.login("alicia", says("22345678")), gate.Accept, "recovery")
			if err := begin(p, old); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Rename(t.Context(), "alice", "carol"); !errors.Is(err, ErrElsewhere) {
				t.Errorf("got %v", err)
			}
			for _, code := range []string{codeOf(t, p, 1), "22345678", tokenCode(t, p, 4)} {
				if v := p.login("carol", says(code)); v.Decision == gate.Accept {
					t.Errorf("carol with %s: %+v", code, v)
				}
			}
			p.Clock = p.Clock.Add(time.Minute)
			expect(t, p.login("alicia", says(codeOf(t, p, 1))), gate.Accept, "totp:phone")
		})
	}
}

func TestRenameRefuses(t *testing.T) {
	p := renamePlace(t)
	bob := alices(p)
	bob.User = "bob"
	if _, err := p.Import(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	for names, want := range map[[2]string]error{
		{"alice", "bob"}:    account.ErrTaken,
		{"carol", "caro"}:   account.ErrNotFound,
		{"carol", "bob"}:    account.ErrTaken,
		{"alice", "alice"}:  nil,
		{"alice", "../a"}:   nil,
		{"alice", "-alice"}: nil,
	} {
		if _, err := p.Rename(t.Context(), names[0], names[1]); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", names, err, want)
		}
	}
	// Nor is a file taken that is bound to a third.
	if _, err := p.Rename(t.Context(), "bob", "robert"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.file("robert"), p.file("alicia")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Rename(t.Context(), "alice", "alicia"); !errors.Is(err, account.ErrOfAnother) {
		t.Error(err)
	}
	if entry := p.entryOf(t, "alice"); factor.IsRetired(entry.Used[factor.Fingerprint("alice", alices(p).Factors[0].Factor)]) {
		t.Error("alice's entry was touched")
	}
}

// Who has no secret file yet begins no second grace by another name.
func TestRenameWithoutAFile(t *testing.T) {
	p := renamePlace(t)
	p.Config.Policy.Grace = config.Grace{For: 48 * time.Hour}
	p.Aliases = map[string]string{"carol": "carol", "caroline": "caroline"}
	expect(t, p.login("carol", says()), gate.NotAsked, "policy.grace")
	began := p.Clock
	p.Clock = p.Clock.Add(24 * time.Hour)
	done, err := p.Rename(t.Context(), "carol", "caroline")
	if err != nil || !done.NoFile || done.Person.User != "caroline" {
		t.Fatalf("%+v, %v", done, err)
	}
	until, begun, err := p.GraceOf(t.Context(), "caroline")
	if err != nil || !begun || !until.Equal(began.Add(48*time.Hour)) {
		t.Errorf("grace until %v, %v, %v", until, begun, err)
	}
	if entry := p.entryOf(t, "carol"); !entry.Grace.IsZero() {
		t.Errorf("carol is left with %+v", entry)
	}
	if _, err := p.Rename(t.Context(), "carol", "caroline"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}
