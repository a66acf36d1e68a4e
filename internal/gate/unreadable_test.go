package gate

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger"
)

// encrypting gives a place with a real directory of secret files and the file of a key.
func encrypting(t *testing.T) (p *fixture, key string) {
	t.Helper()
	p = newFixture(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, data := keyring.NewFile()
	key = filepath.Join(dir, "key")
	if err := os.WriteFile(key, data, 0o400); err != nil {
		t.Fatal(err)
	}
	p.Config.Paths.Users = filepath.Join(dir, "users")
	p.Config.Secrets.Keys = []string{key}
	p.reopen()
	return p, key
}

// reopen has the gate read the configuration again, as for the next forked core.
func (p *fixture) reopen() { p.Accounts = userFiles{PlaceOf(p.Config)} }

// keep writes people as the machine knows them.
func (p *fixture) keep(t *testing.T, names ...string) {
	t.Helper()
	users, err := account.PlaceOf(p.Config).Create()
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	for _, name := range names {
		err := users.Change(name, func(person *account.Person) error { *person = p.Known[name]; return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (p *fixture) entryOf(t *testing.T, user string) ledger.Entry {
	t.Helper()
	entry, err := p.Ledger.View(context.Background(), ledger.UserKey(user))
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// breaks are the ways in which a secret cannot be read.
var breaks = map[string]func(t *testing.T, p *fixture, key string){
	"no key":    func(t *testing.T, _ *fixture, key string) { rename(t, key, key+"-away") },
	"mode 0644": func(t *testing.T, _ *fixture, key string) { chmod(t, key, 0o644) },
	"wrong key": func(t *testing.T, _ *fixture, key string) {
		_, data := keyring.NewFile()
		rename(t, key, key+"-away")
		if err := os.WriteFile(key, data, 0o400); err != nil {
			t.Fatal(err)
		}
	},
	"not configured": func(_ *testing.T, p *fixture, _ string) { p.Config.Secrets.Keys = nil },
	"short": func(t *testing.T, _ *fixture, key string) {
		data, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		rename(t, key, key+"-away")
		if err := os.WriteFile(key, data[:len(data)-5], 0o400); err != nil {
			t.Fatal(err)
		}
	},
	"a link": func(t *testing.T, _ *fixture, key string) {
		rename(t, key, key+"-away")
		if err := os.Symlink(key+"-away", key); err != nil {
			t.Fatal(err)
		}
	},
	"two names": func(t *testing.T, _ *fixture, key string) {
		rename(t, key, key+"-away")
		if err := os.Link(key+"-away", key); err != nil {
			t.Fatal(err)
		}
	},
	"damaged": changesValue(func(value, _ string) string {
		other := map[bool]string{true: "B", false: "A"}[value[40] == 'A']
		return value[:40] + other + value[41:]
	}),
	"of another person": changesValue(func(_, bobs string) string { return bobs }),
	"of a key that nobody has": changesValue(func(value, _ string) string {
		return strings.Replace(value, keyring.KeyOf(value), "00000000", 1)
	}),
	"no value": changesValue(func(value, _ string) string { return value[:len(value)-1] }),
}

// changesValue has somebody change alice's encrypted value, who may know bob's.
func changesValue(change func(alices, bobs string) string) func(t *testing.T, p *fixture, key string) {
	return func(t *testing.T, p *fixture, _ string) {
		p.Give("bob")
		p.keep(t, "bob")
		of := func(user string) (path, text, value string) {
			path = filepath.Join(p.Config.Paths.Users, user+".toml")
			data, err := os.ReadFile(path)
			_, rest, found := strings.Cut(string(data), "secret = '")
			value, _, ended := strings.Cut(rest, "'")
			if err != nil || !found || !ended || keyring.KeyOf(value) == "" {
				t.Fatalf("%v\n%s", err, data)
			}
			return path, string(data), value
		}
		path, text, alices := of("alice")
		_, _, bobs := of("bob")
		if err := os.WriteFile(path, []byte(strings.Replace(text, alices, change(alices, bobs), 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// expectUnreadable has alice try a right code, which is a fault whose reason has the parts.
func (p *fixture) expectUnreadable(t *testing.T, parts []string) {
	t.Helper()
	conversation := says(p.Code(t, "alice", 0))
	verdict := p.login("alice", conversation)
	expect(t, verdict, Fault, "secret-file")
	if conversation.asked != 1 || conversation.told[0] != cannotDecide {
		t.Fatalf("asked %d times, told %q", conversation.asked, conversation.told)
	}
	for _, part := range parts {
		if !strings.Contains(verdict.Reason, part) {
			t.Fatalf("%q is not in %q", part, verdict.Reason)
		}
	}
	for _, secret := range []string{p.Known["alice"].Factors[0].Secret.Base32(), string(p.Known["alice"].Factors[0].Secret)} {
		if strings.Contains(p.Lines(), secret) {
			t.Fatal("the log has the secret")
		}
	}
}

// Whatever keeps a secret from being read is a fault that names file and key: never
// somebody who is not enrolled, and never a guess.
func TestUnreadableSecret(t *testing.T) {
	for what, spoil := range breaks {
		t.Run(what, func(t *testing.T) {
			p, key := encrypting(t)
			recovery := p.Give("alice")
			p.keep(t, "alice")
			p.reopen()
			expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
			marks := p.entryOf(t, "alice").Used
			name, _, err := keyring.ReadFile(key)
			if err != nil {
				t.Fatal(err)
			}
			spoil(t, p, key)
			p.reopen()
			p.Clock = p.Clock.Add(time.Minute)
			parts := []string{"alice.toml:", "factor[1].secret: "}
			switch what {
			case "no value": // which names no key
			case "not configured":
				parts = append(parts, name)
			case "of a key that nobody has":
				parts = append(parts, "00000000", key+" has the key "+name)
			default:
				parts = append(parts, name, key)
			}
			for range 20 {
				p.expectUnreadable(t, parts)
			}
			if entry := p.entryOf(t, "alice"); entry.Attempts.Wrong != 0 || len(entry.Used) != len(marks) {
				t.Errorf("counted: %+v", entry)
			}
			// No code of the empty secret is one.
			none := account.Factor{ID: "phone", Kind: account.TOTP, Digits: 6, Period: 30, Algorithm: "SHA1"}
			if (factor.TOTP{User: "alice", Factor: none, Window: 1}).Verify("328482", time.Unix(0, 0), &ledger.Entry{}) != factor.Wrong {
				t.Error("a code of no secret is right")
			}
			// What needs no secret goes on.
			expect(t, p.login("alice", says(recovery[0])), Accept, "recovery")
			expect(t, p.login("alice", says(recovery[0], recovery[0], recovery[0])), TooMany, "policy.attempts.per_login")
			// What was done to the key's file can be undone.
			if _, err := os.Stat(key + "-away"); err == nil {
				_ = os.Remove(key) // a rename onto another name of the same file does nothing
				rename(t, key+"-away", key)
			} else if what != "mode 0644" {
				return
			}
			chmod(t, key, 0o400)
			p.reopen()
			p.Clock = p.Clock.Add(-time.Minute)
			conversation := says(p.Code(t, "alice", 0))
			expect(t, p.login("alice", conversation), Deny, "no-answer")
			if conversation.told[0] != usedCode {
				t.Errorf("a code that was used before: %q", conversation.told)
			}
			p.Clock = p.Clock.Add(time.Minute)
			expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
		})
	}
}

// A key that is gone, or comes back, between two tries of one login.
func TestKeyGoneBetweenTries(t *testing.T) {
	p, key := encrypting(t)
	p.Give("alice")
	p.keep(t, "alice")
	p.reopen()
	gone := func() any {
		rename(t, key, key+"-away")
		return gatetest.Other(p.Code(t, "alice", -1), p.Code(t, "alice", 0), p.Code(t, "alice", 1))
	}
	verdict := p.login("alice", says("not-a-code", gone))
	if verdict.Decision != Fault && verdict.Rule != "no-answer" {
		t.Errorf("%+v", verdict)
	}
	p.reopen()
	back := func() any { rename(t, key+"-away", key); return p.Code(t, "alice", 0) }
	expect(t, p.login("alice", says("not-a-code", back)), Accept, "totp:phone")
}

// While one secret cannot be read, others are no easier to guess.
func TestGuessesCountBesideUnreadable(t *testing.T) {
	p, key := encrypting(t)
	p.Give("alice")
	p.keep(t, "alice")
	rename(t, key, key+"-away")
	p.Config.Secrets.Keys = nil
	p.reopen()
	// A second one that can be read.
	users, err := account.PlaceOf(p.Config).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer users.Close()
	second := p.Known["alice"].Factors[0]
	second.ID, second.Secret = "second", account.Secret("second secret of alice")
	err = users.Change("alice", func(person *account.Person) error { person.Factors = append(person.Factors, second); return nil })
	if err != nil {
		t.Fatal(err)
	}
	limit := p.Config.Policy.Attempts.PerWindow
	for n := range limit {
		expect(t, p.login("alice", says("000000")), Fault, "secret-file")
		if got := p.entryOf(t, "alice").Attempts.Wrong; n+1 < limit && got != n+1 {
			t.Fatalf("%d wrong codes count, expected %d", got, n+1)
		}
	}
	expect(t, p.login("alice", says("000000")), TooMany, "policy.attempts.per_window")
}

// Codes that are sent need no key.
func TestSentBesideUnreadable(t *testing.T) {
	p, key := encrypting(t)
	p.GiveSent("alice", account.TOTP, account.Email)
	p.keep(t, "alice")
	rename(t, key, key+"-away")
	p.Config.Email = &config.Email{}
	sender := new(gatetest.Sender)
	p.Sender = sender
	p.reopen()
	verdict := p.login("alice", says("email", lastCode{sender}))
	expect(t, verdict, Accept, "email:my-email")
	expect(t, p.login("alice", says("000000")), Fault, "secret-file")
}

// A remembered login neither outlives the secret nor begins with one that is unknown.
func TestSessionsBesideUnreadable(t *testing.T) {
	p, key := encrypting(t)
	recovery := p.Give("alice")
	p.keep(t, "alice")
	p.Config.Policy.Session = config.Duration{Duration: time.Hour}
	p.reopen()
	expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
	expect(t, p.login("alice", says()), NotAsked, "policy.session")
	rename(t, key, key+"-away")
	p.reopen()
	expect(t, p.login("alice", says()), Deny, "no-answer")
	expect(t, p.login("alice", says(recovery[0])), Accept, "recovery")
	expect(t, p.login("alice", says()), NotAsked, "policy.session")
	rename(t, key+"-away", key)
	p.reopen()
	expect(t, p.login("alice", says()), Deny, "no-answer")
}

// A key that is changed while somebody types a code.
func TestKeyChangedBetweenTries(t *testing.T) {
	for _, begin := range []string{"", "first"} {
		t.Run("from "+begin, func(t *testing.T) {
			p, first := encrypting(t)
			_, second := encrypting(t)
			p.Give("alice")
			keys := []string{second, first}
			if p.Config.Secrets.Keys = nil; begin != "" {
				p.Config.Secrets.Keys = []string{first}
			}
			p.keep(t, "alice")
			path := filepath.Join(filepath.Dir(first), "otpgate.toml")
			p.Accounts = keyedFiles{userFiles{PlaceOf(p.Config)}, path}
			changed := func() any {
				if err := os.WriteFile(path, []byte("[secrets]\nkeys = ['"+strings.Join(keys, "', '")+"']\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				now := p.Config
				now.Secrets.Keys = keys
				dir, err := account.PlaceOf(now).Open()
				if err != nil {
					t.Fatal(err)
				}
				defer dir.Close()
				how := map[string]account.Rewriting{"": account.EncryptPlain, "first": account.Rotate}[begin]
				if done, err := dir.Rewrite([]string{"alice"}, how, false); err != nil || done[0].Err != nil || done[0].Changed == 0 {
					t.Fatal(done, err)
				}
				return p.Code(t, "alice", 0)
			}
			expect(t, p.login("alice", says(changed)), Accept, "totp:phone")
		})
	}
}
