package admin

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// alices is alice brought along: an app of whose codes those up to now are used.
func alices(p *fixture) Imported {
	f := account.Factor{ID: "phone", Kind: account.TOTP, Secret: account.Secret("secret of alice, 20 bytes"), Digits: 6, Period: 30, Algorithm: "SHA1"}
	return Imported{
		User: "alice", Scratch: []string{"12345678", "22345678"},
		Factors: []ImportedFactor{{f, &ledger.Use{Step: p.Clock.Unix() / 30}}},
	}
}

// codeOf is what the imported app shows steps from now.
func codeOf(t *testing.T, p *fixture, steps int) string {
	t.Helper()
	p.Known["alice"] = account.Person{Factors: []account.Factor{alices(p).Factors[0].Factor}}
	return p.Code(t, "alice", steps)
}

func TestImportedLogin(t *testing.T) {
	p := newPlaceOnDisk(t)
	if left, err := p.Import(t.Context(), alices(p)); err != nil || left != 2 {
		t.Fatal(left, err)
	}
	got := p.load(t)
	if len(got.Factors) != 1 || !got.Factors[0].Confirmed.Equal(p.Clock) || len(got.Recovery.Hashes) != 2 || !got.Enrolled() {
		t.Errorf("written: %+v", got)
	}
	// What was used elsewhere is used here.
	conversation := says(codeOf(t, p, 0), codeOf(t, p, -1), codeOf(t, p, 1))
	expect(t, p.login("alice", conversation), gate.Accept, "totp:phone")
	if !slices.Equal(conversation.told[:2], []string{usedCode, usedCode}) {
		t.Errorf("told %q", conversation.told)
	}
	expect(t, p.login("alice", says("12345678")), gate.Accept, "recovery")
}

// Brought along once more, from a file that knows of nothing since, nothing that
// was used here is good again.
func TestImportAgainTakesNothingBack(t *testing.T) {
	p := newPlaceOnDisk(t)
	first := alices(p)
	if _, err := p.Import(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	used := codeOf(t, p, 1)
	expect(t, p.login("alice", says(used)), gate.Accept, "totp:phone")
	expect(t, p.login("alice", says("12345678")), gate.Accept, "recovery")
	if left, err := p.Import(t.Context(), first); !errors.Is(err, ErrEnrolledSame) || left != 1 {
		t.Errorf("without replace: %v, %d left", err, left)
	}
	if err := p.CheckImport(first); !errors.Is(err, ErrEnrolledSame) {
		t.Errorf("checked without replace: %v", err)
	}
	other := alices(p)
	other.Factors[0].Factor.Secret = newSecret("SHA1")
	if _, err := p.Import(t.Context(), other); !errors.Is(err, ErrEnrolled) {
		t.Errorf("another key without replace: %v", err)
	}
	first.Replace = true
	for _, use := range []*ledger.Use{first.Factors[0].Use, nil, {Step: 5, Drift: 9, Resynced: 9}} {
		first.Factors[0].Use = use
		if left, err := p.Import(t.Context(), first); err != nil || left != 1 {
			t.Fatal(left, err)
		}
		expect(t, p.login("alice", says(used, "12345678", "1234-5678")), gate.TooMany, "policy.attempts.per_login")
	}
	if got := p.load(t); len(got.Factors) != 1 || len(got.Recovery.Hashes) != 2 {
		t.Errorf("written: %d factors, %d hashes", len(got.Factors), len(got.Recovery.Hashes))
	}
}

// What the person has here stays, but for what the new takes the place of.
func TestImportBeside(t *testing.T) {
	p := newPlaceOnDisk(t)
	email := "alice@example.com"
	p.enrollPrepared(t, Prepared{User: "alice", Changes: Changes{Email: &email}, Factor: account.Factor{ID: "email", Kind: account.Email}, Confirmed: true, Recovery: true})
	old := prepared("phone")
	p.enrollPrepared(t, old)
	what := alices(p)
	for _, replace := range []bool{false, true} {
		what.Replace = replace
		checked := p.CheckImport(what)
		_, done := p.Import(t.Context(), what)
		if (checked == nil) != replace || (done == nil) != replace || !replace && (!errors.Is(done, ErrEnrolled) || len(p.load(t).Factors) != 2) {
			t.Fatalf("replace %v: %v, %v", replace, checked, done)
		}
	}
	got := p.load(t)
	if len(got.Factors) != 2 || got.Factors[0].ID != "email" || string(got.Factors[1].Secret) != string(what.Factors[0].Factor.Secret) || got.Email != email {
		t.Errorf("written: %+v", got)
	}
	if len(got.Recovery.Hashes) != 12 || !factor.HasScratch(got) || !factor.HasOwnRecovery(got) {
		t.Errorf("%d hashes", len(got.Recovery.Hashes))
	}
	what.Scratch = nil
	if _, err := p.Import(t.Context(), what); err != nil || len(p.load(t).Recovery.Hashes) != 10 {
		t.Errorf("%v, %d hashes", err, len(p.load(t).Recovery.Hashes))
	}
}

// Nothing is half done: what fails leaves no file and marks nothing as used, and
// where the ledger cannot be written there is no file either.
func TestImportAllOrNothing(t *testing.T) {
	for name, spoil := range map[string]func(*fixture, *Imported){
		"a scratch code of seven digits": func(_ *fixture, i *Imported) { i.Scratch[1] = "1234567" },
		"a period of one second":         func(_ *fixture, i *Imported) { i.Factors[0].Factor.Period = 1 },
		"two factors of one id":          func(_ *fixture, i *Imported) { i.Factors = append(i.Factors, i.Factors[0]) },
		"a name that leads out":          func(_ *fixture, i *Imported) { i.User = "../alice" },
		"no ledger":                      func(p *fixture, _ *Imported) { p.Ledger = gatetest.FailingLedger{} },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaceOnDisk(t)
			store := p.Ledger
			what := alices(p)
			spoil(p, &what)
			if _, err := p.Import(t.Context(), what); err == nil {
				t.Error("it was taken")
			}
			if name != "no ledger" && p.CheckImport(what) == nil {
				t.Error("the check finds nothing wrong")
			}
			files, err := os.ReadDir(p.Config.Paths.Users)
			entry, err2 := store.View(t.Context(), ledger.Key{Kind: ledger.User, Name: "alice"})
			if len(files) > 0 || err2 != nil || len(entry.Used) > 0 || err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left: %v, %+v, %v, %v", files, entry, err, err2)
			}
		})
	}
}

// A process that is killed between ledger and file leaves used codes used: the
// ledger comes first.
func TestImportMarksBeforeItWrites(t *testing.T) {
	p := newPlaceOnDisk(t)
	watched := &watchedLedger{Store: p.Ledger, path: filepath.Join(p.Config.Paths.Users, "alice.toml")}
	p.Ledger = watched
	if _, err := p.Import(t.Context(), alices(p)); err != nil || !watched.updated || watched.tooLate {
		t.Errorf("%v, updated %v, file first %v", err, watched.updated, watched.tooLate)
	}
}

type watchedLedger struct {
	ledger.Store
	path             string
	updated, tooLate bool
}

func (w *watchedLedger) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	_, err := os.Stat(w.path)
	w.updated, w.tooLate = true, w.tooLate || err == nil
	return w.Store.Update(ctx, key, change)
}

// Who is shut out is not let in by what is brought along.
func TestImportOfTheDisabled(t *testing.T) {
	p := newPlaceOnDisk(t)
	if left, err := p.Import(t.Context(), alices(p)); err != nil || left != 2 {
		t.Fatal(err)
	}
	if _, _, err := p.Enable(t.Context(), "alice", false); err != nil {
		t.Fatal(err)
	}
	what := alices(p)
	what.Replace = true
	if _, err := p.Import(t.Context(), what); !errors.Is(err, ErrEnrolled) || !strings.Contains(err.Error(), "disabled") {
		t.Error(err)
	}
	if got := p.load(t); got.Enabled || len(got.Recovery.Hashes) > 0 {
		t.Errorf("written: %+v", got)
	}
}

// A drift that was found elsewhere holds here.
func TestImportedDrift(t *testing.T) {
	p := newPlaceOnDisk(t)
	what := alices(p)
	what.Factors[0].Use = &ledger.Use{Drift: -200, Resynced: -200}
	if _, err := p.Import(t.Context(), what); err != nil {
		t.Fatal(err)
	}
	expect(t, p.login("alice", says(codeOf(t, p, -200))), gate.Accept, "totp:phone")
	p.Clock = p.Clock.Add(time.Hour)
	expect(t, p.login("alice", says(codeOf(t, p, -201))), gate.Accept, "totp:phone")
	expect(t, p.login("alice", says(codeOf(t, p, -100))), gate.Deny, "no-answer")
}
