package admin

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

func text(s string) *string { return &s }

// prepared is an enrollment of alice: by mail, or with another id of an app.
func prepared(id string) Prepared {
	p := Prepared{User: "alice", Factor: enrollment.NewFactor(id, config.Default().TOTP), Confirmed: true, Recovery: true}
	if id == "mail" {
		p.Factor = account.Factor{ID: id, Kind: account.Email}
		p.Changes.Email = text("alice@example.com")
	}
	return p
}

func (p *fixture) enrollPrepared(t *testing.T, what Prepared) enrollment.Confirmation {
	t.Helper()
	done, err := p.EnrollPrepared(context.Background(), what)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func (p *fixture) load(t *testing.T) account.Person {
	t.Helper()
	person, err := p.Accounts.Load("alice")
	if err != nil {
		t.Fatal(err)
	}
	return person
}

func TestSetKeepsWhatIsNotNamed(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.enrollPrepared(t, prepared("mail"))
	hashes := p.load(t).Recovery.Hashes
	_, keys, err := p.Set("alice", Changes{Phone: text("+491511234567"), Protocols: &[]config.Protocol{"ssh"}})
	if err != nil || !slices.Equal(keys, []string{"phone", "protocols"}) {
		t.Fatalf("changed %v: %v", keys, err)
	}
	got := p.load(t)
	if got.Email != "alice@example.com" || got.Phone != "+491511234567" || !slices.Equal(got.Protocols, []config.Protocol{"ssh"}) ||
		len(got.Factors) != 1 || !got.Enabled || !slices.Equal(got.Recovery.Hashes, hashes) {
		t.Errorf("got %+v", got)
	}
	if _, keys, err := p.Set("alice", Changes{Protocols: &[]config.Protocol{}}); err != nil || len(keys) != 1 || p.load(t).Protocols != nil {
		t.Errorf("the policy's protocols do not hold again: %v, %v", keys, err)
	}
	if _, keys, err := p.Set("alice", Changes{Email: text("alice@example.com"), Protocols: &[]config.Protocol{}}); err != nil || keys != nil {
		t.Errorf("nothing was changed, yet %v, %v", keys, err)
	}
	// A value that the file could not be read back with is refused here too.
	if _, _, err := p.Set("alice", Changes{Email: text("alice")}); err == nil || p.load(t).Email != "alice@example.com" {
		t.Errorf("a bad address was written: %v", err)
	}
}

func TestSetKeepsTheAddressOfAFactor(t *testing.T) {
	p := newPlaceOnDisk(t)
	what := prepared("mail")
	what.Confirmed = false // one that waits needs it too
	p.enrollPrepared(t, what)
	var needed AddressNeededError
	if _, _, err := p.Set("alice", Changes{Email: text("")}); !errors.As(err, &needed) || !slices.Equal(needed.Factors, []string{"mail"}) {
		t.Errorf("got %v", err)
	}
	if p.load(t).Email == "" {
		t.Error("the address is gone")
	}
}

// Recovery codes must not outlive the last factor (CVE-2022-36071).
func TestRemoveFactorTakesTheRecoveryCodesLast(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.enrollPrepared(t, prepared("mail"))
	p.enrollPrepared(t, prepared("other"))
	if _, err := p.RemoveFactor("alice", "mail"); err != nil || len(p.load(t).Recovery.Hashes) == 0 || len(p.load(t).Factors) != 1 {
		t.Errorf("with a factor left: %v, %+v", err, p.load(t))
	}
	if _, err := p.RemoveFactor("alice", "mail"); !errors.Is(err, ErrNoSuchFactor) {
		t.Errorf("removed twice: %v", err)
	}
	if after, err := p.RemoveFactor("alice", "other"); err != nil || after.Enrolled() || len(p.load(t).Recovery.Hashes) != 0 {
		t.Errorf("without: %v, %+v", err, p.load(t))
	}
}

func TestPreparedLeavesWhatIsThere(t *testing.T) {
	p := newPlaceOnDisk(t)
	if made := p.enrollPrepared(t, prepared("mail")); len(made.RecoveryCodes) != 10 {
		t.Errorf("%d recovery codes, want 10", len(made.RecoveryCodes))
	}
	f := p.begin(t, "phone")
	for id, want := range map[string]error{"mail": enrollment.ErrAlreadyConfirmed, "phone": ErrWaiting} {
		again := prepared(id)
		again.Changes.Phone = text("+10000000")
		if _, err := p.EnrollPrepared(context.Background(), again); !errors.Is(err, want) {
			t.Errorf("%s again: got %v, want %v", id, err, want)
		}
		if err := p.CheckPrepared(again); !errors.Is(err, want) {
			t.Errorf("%s checked: got %v, want %v", id, err, want)
		}
	}
	if got := p.load(t); got.Phone != "" || len(got.Factors) != 2 || string(got.Factors[1].Secret) != string(f.Secret) {
		t.Errorf("something was changed: %+v", got)
	}
	// In the place of the old one, and without new recovery codes.
	again := prepared("phone")
	again.Replace = true
	if made := p.enrollPrepared(t, again); made.RecoveryCodes != nil || len(p.load(t).Factors) != 2 || p.load(t).Factors[1].Confirmed.IsZero() {
		t.Errorf("made %+v, got %+v", made, p.load(t))
	}
}

// The codes of a confirmed factor do not go elsewhere by an enrollment beside
// it, unless that is wanted.
func TestPreparedKeepsTheAddressOfAFactor(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.enrollPrepared(t, prepared("mail"))
	beside, second := prepared("phone"), prepared("mail")
	beside.Changes.Email = text("mallory@example.com")
	second.Factor.ID = "other"
	for _, what := range []Prepared{beside, second} {
		if _, err := p.EnrollPrepared(context.Background(), what); !errors.Is(err, enrollment.ErrAlreadyConfirmed) {
			t.Errorf("%s: got %v", what.Factor.ID, err)
		}
	}
	if got := p.load(t); got.Email != "alice@example.com" || len(got.Factors) != 1 {
		t.Errorf("got %+v", got)
	}
	if _, err := p.Enroll("alice", enrollment.NewFactor("phone", p.Config.TOTP), false); err != nil {
		t.Fatal(err)
	}
	second.Replace = true
	if _, err := p.Enroll("alice", account.Factor{ID: "other", Kind: account.Email}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := p.EnrollPrepared(context.Background(), second); !errors.Is(err, enrollment.ErrAlreadyConfirmed) {
		t.Errorf("a second one: got %v", err)
	}
	beside.Replace = true
	if p.enrollPrepared(t, beside); p.load(t).Email != "mallory@example.com" {
		t.Error("--replace does not")
	}
}

func TestPreparedNeedsAnAddress(t *testing.T) {
	p := newPlaceOnDisk(t)
	what := prepared("sms")
	what.Factor.Kind = account.SMS
	if _, err := p.EnrollPrepared(context.Background(), what); !errors.Is(err, ErrNoAddress) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Accounts.Load("alice"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("half of it was written: %v", err)
	}
}

// Somebody disabled stays so, and gets no recovery codes; nobody gets any that
// cannot be shown.
func TestPreparedMakesNoRecoveryCodesForNobody(t *testing.T) {
	p := newPlaceOnDisk(t)
	what := prepared("mail")
	what.Recovery = false
	if made := p.enrollPrepared(t, what); made.RecoveryCodes != nil || len(p.load(t).Recovery.Hashes) != 0 {
		t.Error("recovery codes were made that nobody sees")
	}
	if _, _, err := p.Enable(context.Background(), "alice", false); err != nil {
		t.Fatal(err)
	}
	if made := p.enrollPrepared(t, prepared("other")); !made.Disabled || made.RecoveryCodes != nil || p.load(t).Enabled {
		t.Errorf("somebody disabled: %+v", made)
	}
	if _, err := p.EnrollPrepared(context.Background(), Prepared{User: "../alice"}); err == nil {
		t.Error("a name led out of the directory")
	}
}

// Changes of one person at once keep each other.
func TestSetAndEnrollAtOnce(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.enrollPrepared(t, prepared("mail"))
	var wait sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d"} {
		wait.Go(func() {
			if _, err := p.EnrollPrepared(context.Background(), prepared(id)); err != nil {
				t.Error(err)
			}
		})
		wait.Go(func() {
			if _, _, err := p.Set("alice", Changes{Phone: text("+491511234567")}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := p.load(t); len(got.Factors) != 5 || got.Phone == "" {
		t.Errorf("got %+v", got)
	}
}

func TestSessionsAreThoseThatCount(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.enrollPrepared(t, prepared("mail"))
	p.Config.Policy.Session = config.Duration{Duration: 24 * time.Hour}
	key := ledger.UserKey("alice")
	post := &gatetest.Sender{}
	p.Sender = post
	expect(t, p.login("alice", says(lastCode{post})), gate.Accept, "email:mail")
	entry, err := p.Ledger.View(context.Background(), key)
	if err != nil || len(entry.Sessions) != 1 {
		t.Fatalf("expected the login to be remembered, found %+v, %v", entry, err)
	}
	of := entry.Sessions[0].Of
	good := ledger.Session{Protocol: "ssh", Address: "192.0.2.7", Since: p.Clock, Until: p.Clock.Add(time.Hour), Of: of}
	long := good
	long.Protocol, long.Until = "sudo", p.Clock.Add(90*24*time.Hour) // from before the policy was made stricter
	over, other := good, good
	over.Since, over.Until = p.Clock.Add(-2*time.Hour), p.Clock.Add(-time.Hour)
	other.Of = "other factors"
	err = p.Ledger.Update(context.Background(), key, func(entry *ledger.Entry) error {
		entry.Sessions = []ledger.Session{over, good, other, long}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := p.Sessions(context.Background(), "alice")
	if err != nil || len(sessions) != 2 || sessions[0].Protocol != "ssh" || !sessions[1].Until.Equal(p.Clock.Add(24*time.Hour)) {
		t.Fatalf("got %+v, %v", sessions, err)
	}
	n, err := p.ExpireSessions(context.Background(), "alice", func(s ledger.Session) bool { return s.Protocol == "ssh" })
	if err != nil || n != 1 {
		t.Errorf("%d ended, want 1: %v", n, err)
	}
	entry, err = p.Ledger.View(context.Background(), key)
	if err != nil || len(entry.Sessions) != 1 || entry.Sessions[0].Protocol != "sudo" {
		t.Errorf("left: %+v, %v", entry.Sessions, err)
	}
	p.Ledger = gatetest.FailingLedger{}
	if n, err := p.ExpireSessions(context.Background(), "alice", func(ledger.Session) bool { return true }); err == nil || n != 0 {
		t.Errorf("a ledger that fails ended %d: %v", n, err)
	}
}

// recordingSender keeps what it is given to send.
type recordingSender struct{ message deliver.Message }

func (k *recordingSender) Send(_ context.Context, m deliver.Message) (deliver.Delivery, error) {
	k.message = m
	return deliver.Delivery{Channel: m.Channel}, nil
}

// What a test sends is no code of any login.
func TestSendTestIsGoodForNothing(t *testing.T) {
	p := newPlaceOnDisk(t)
	if _, err := p.SendTest(context.Background(), deliver.Email, "alice", ""); !errors.Is(err, gate.ErrNoSender) {
		t.Errorf("got %v", err)
	}
	kept := &recordingSender{}
	p.Sender = kept
	p.enrollPrepared(t, prepared("mail"))
	before, err := p.Ledger.View(context.Background(), ledger.Key{Kind: ledger.User, Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.SendTest(context.Background(), deliver.SMS, "alice", ""); !errors.Is(err, ErrNoAddress) {
		t.Errorf("got %v", err)
	}
	if _, err := p.SendTest(context.Background(), deliver.Email, "alice", ""); err != nil || kept.message.Email != "alice@example.com" || kept.message.Code == "" {
		t.Fatalf("sent %+v, %v", kept.message, err)
	}
	after, err := p.Ledger.View(context.Background(), ledger.Key{Kind: ledger.User, Name: "alice"})
	if err != nil || len(after.Carried) != len(before.Carried) || after.Sends != before.Sends {
		t.Errorf("the ledger knows of it: %+v, %v", after, err)
	}
	code := kept.message.Code
	if verdict := p.login("alice", says(code)); verdict.Decision == gate.Accept {
		t.Errorf("the code logged in: %+v", verdict)
	}
}

func TestHasGroup(t *testing.T) {
	if found, err := (gate.System{}).HasGroup("root"); err != nil || !found {
		t.Errorf("root: %v, %v", found, err)
	}
	if found, err := (gate.System{}).HasGroup("no-such-group"); err != nil || found {
		t.Errorf("no-such-group: %v, %v", found, err)
	}
}
