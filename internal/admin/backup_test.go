package admin

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// backedUp is alice with a token and an app, and her backup.
func backedUp(t *testing.T) (*fixture, Backup) {
	t.Helper()
	p := newPlaceOnDisk(t)
	what := alices(p)
	token := what.Factors[0].Factor
	token.ID, token.Kind, token.Period, token.Counter = "token", account.HOTP, 0, 3
	what.Factors = append(what.Factors, ImportedFactor{Factor: token})
	if _, err := p.Import(t.Context(), what); err != nil {
		t.Fatal(err)
	}
	expect(t, p.login("alice", says("12345678")), gate.Accept, "recovery")
	b, err := p.Backup(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	return p, b
}

// lost is a machine that has nothing of p but its clock.
func lost(t *testing.T, p *fixture) *fixture {
	t.Helper()
	fresh := newPlaceOnDisk(t)
	fresh.Clock = p.Clock
	return fresh
}

func TestBackupHoldsWhatIsUsed(t *testing.T) {
	p, b := backedUp(t)
	text, err := os.ReadFile(p.Config.Paths.Users + "/alice.toml")
	if err != nil || string(b.Text) != string(text) || len(b.Entry.Used) != 1 || len(b.Entry.UsedHashes) != 1 || b.Entry.LastLogin.IsZero() {
		t.Errorf("%+v, %v", b.Entry, err)
	}
	if kept := (ledger.Entry{Used: b.Entry.Used, UsedHashes: b.Entry.UsedHashes, LastLogin: b.Entry.LastLogin}); !reflect.DeepEqual(b.Entry, kept) {
		t.Errorf("also: %+v", b.Entry)
	}
	if _, err := p.Backup(t.Context(), "bob"); !errors.Is(err, account.ErrNotFound) {
		t.Error(err)
	}
}

// On a machine that has lost everything no code that could have been used until
// now is good, and recovery codes only if the admin takes it upon himself.
func TestRestoreWhereAllIsLost(t *testing.T) {
	p, b := backedUp(t)
	for _, recovery := range []bool{false, true} {
		fresh := lost(t, p)
		for _, dry := range []bool{true, false} {
			done, err := fresh.Restore(t.Context(), Restore{Backup: b, Recovery: recovery}, dry)
			left := map[bool]int{true: 1}[recovery]
			if err != nil || done.RecoveryLeft != left || len(done.Person.Factors) != 2 || !dry && fmt.Sprint(done.Forgotten) != "[token]" {
				t.Fatalf("dry %v, recovery %v: %+v, %v", dry, recovery, done, err)
			}
			if _, err := os.Stat(fresh.Config.Paths.Users); dry && err == nil {
				t.Error("dry, and it wrote")
			}
		}
		now, next, later := codeOf(t, fresh, 0), codeOf(t, fresh, 1), codeOf(t, fresh, 2)
		expect(t, fresh.login("alice", says(now, next, "12345678")), gate.TooMany, "policy.attempts.per_login")
		fresh.Clock = fresh.Clock.Add(30e9)
		expect(t, fresh.login("alice", says(later)), gate.Accept, "totp:phone")
		verdict := fresh.login("alice", says("22345678"))
		if (verdict.Decision == gate.Accept) != recovery {
			t.Errorf("recovery %v: %v", recovery, verdict)
		}
	}
}

// Where the ledger is whole, what was used after the backup stays used.
func TestRestoreOverALedger(t *testing.T) {
	p, _ := backedUp(t)
	expect(t, p.login("alice", says(tokenCode(t, p, 3))), gate.Accept, "hotp:token")
	b, err := p.Backup(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, p.login("alice", says("22345678")), gate.Accept, "recovery")
	expect(t, p.login("alice", says(tokenCode(t, p, 5))), gate.Accept, "hotp:token")
	if _, err := p.Restore(t.Context(), Restore{Backup: b}, false); !errors.Is(err, ErrEnrolled) {
		t.Errorf("over a secret file: %v", err)
	}
	done, err := p.Restore(t.Context(), Restore{Backup: b, Replace: true, Recovery: true}, false)
	if err != nil || done.RecoveryLeft != 0 || done.Forgotten != nil {
		t.Errorf("%+v, %v", done, err)
	}
	expect(t, p.login("alice", says("22345678", "12345678", codeOf(t, p, 0))), gate.TooMany, "policy.attempts.per_login")
	expect(t, p.login("alice", says(tokenCode(t, p, 5), tokenCode(t, p, 4))), gate.Deny, "no-answer")
	expect(t, p.login("alice", says(tokenCode(t, p, 6))), gate.Accept, "hotp:token")
}

// tokenCode is what alice's token shows at a counter, by an independent library.
func tokenCode(t *testing.T, p *fixture, counter uint64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(alices(p).Factors[0].Factor.Secret.Base32(), counter, hotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestRestoreRefuses(t *testing.T) {
	p, b := backedUp(t)
	for name, spoil := range map[string]func(*Backup, *fixture){
		"another name":        func(b *Backup, _ *fixture) { b.User = "bob" },
		"a name that is none": func(b *Backup, _ *fixture) { b.User = "../alice" },
		"no secret file":      func(b *Backup, _ *fixture) { b.Text = []byte("x") },
		"no key to encrypt":   func(_ *Backup, p *fixture) { p.Config.Secrets.Keys = []string{t.TempDir() + "/none"} },
		"no ledger":           func(_ *Backup, p *fixture) { p.Ledger = gatetest.FailingLedger{} },
	} {
		fresh, bad := lost(t, p), b
		whole := fresh.Ledger
		spoil(&bad, fresh)
		if _, err := fresh.Restore(t.Context(), Restore{Backup: bad, Recovery: true}, false); err == nil {
			t.Errorf("%s: it was taken", name)
		}
		if files, _ := os.ReadDir(fresh.Config.Paths.Users); len(files) > 0 {
			t.Errorf("%s: left %v", name, files)
		}
		if entry, err := whole.View(t.Context(), ledger.UserKey("alice")); err != nil || len(entry.Used) > 0 {
			t.Errorf("%s: used %v, %v", name, entry.Used, err)
		}
	}
}

// A backup of before does not let in who was shut out since.
func TestRestoreOfTheDisabled(t *testing.T) {
	p, b := backedUp(t)
	if _, _, err := p.Enable(t.Context(), "alice", false); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Restore(t.Context(), Restore{Backup: b, Replace: true, Recovery: true}, false); !errors.Is(err, ErrEnrolled) || p.load(t).Enabled {
		t.Error(err)
	}
}

// Graces that have begun come back too, those of programs of others than root
// among them: a restored person gets no other one.
func TestRestoreBringsGraces(t *testing.T) {
	p := newPlaceOnDisk(t)
	what := alices(p)
	if _, err := p.Import(t.Context(), what); err != nil {
		t.Fatal(err)
	}
	first, later := p.Clock.Add(-time.Hour), p.Clock.Add(-time.Minute)
	key := ledger.UserKey("alice")
	note := func(at *fixture, entry ledger.Entry) {
		t.Helper()
		if err := at.Ledger.Update(t.Context(), key, func(e *ledger.Entry) error { *e = entry; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	note(p, ledger.Entry{Grace: first, PeerGraces: map[string]time.Time{"uid 33": first, "uid 48": later}})
	b, err := p.Backup(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	fresh := lost(t, p)
	note(fresh, ledger.Entry{PeerGraces: map[string]time.Time{"uid 33": later}})
	if _, err := fresh.Restore(t.Context(), Restore{Backup: b}, false); err != nil {
		t.Fatal(err)
	}
	entry, err := fresh.Ledger.View(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]time.Time{"uid 33": first, "uid 48": later} {
		if !entry.PeerGraces[name].Equal(want) {
			t.Errorf("%s: %v, expected %v", name, entry.PeerGraces[name], want)
		}
	}
	if !entry.Grace.Equal(first) {
		t.Errorf("grace %v", entry.Grace)
	}
}
