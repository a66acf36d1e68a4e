package admin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// newPlaceOnDisk is a place whose secret files are on disk.
func newPlaceOnDisk(t *testing.T) *fixture {
	t.Helper()
	p := newFixture(t)
	p.Config.Paths.Users = filepath.Join(t.TempDir(), "users")
	p.Accounts = files(p.Config.Paths.Users)
	return p
}

// has says whether alice has a confirmed factor with this id.
func (p *fixture) has(t *testing.T, id string) bool {
	t.Helper()
	person, err := p.Accounts.Load("alice")
	if err != nil && !errors.Is(err, account.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return slices.ContainsFunc(person.Confirmed(), func(f account.Factor) bool { return f.ID == id })
}

// begin enrolls alice and returns the factor.
func (p *fixture) begin(t *testing.T, id string) account.Factor {
	t.Helper()
	f := enrollment.NewFactor(id, p.Config.TOTP)
	if _, err := p.Enroll("alice", f, p.has(t, id)); err != nil {
		t.Fatal(err)
	}
	return f
}

func (p *fixture) shows(t *testing.T, f account.Factor, steps int) string {
	t.Helper()
	code, err := totp.GenerateCodeCustom(f.Secret.Base32(), p.Clock.Add(time.Duration(steps*f.Period)*time.Second),
		totp.ValidateOpts{Period: uint(f.Period), Digits: otp.Digits(f.Digits)})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func (p *fixture) enrolled(t *testing.T) bool {
	t.Helper()
	person, err := p.Accounts.Load("alice")
	if err != nil {
		t.Fatal(err)
	}
	return person.Enrolled()
}

// after runs a hook once an update is on disk.
type after struct {
	ledger.Store
	hook func() error
}

func (a after) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if err := a.Store.Update(ctx, key, change); err != nil {
		return err
	}
	return a.hook()
}

// If the machine stops between ledger and secret file, the code is used and
// nothing counts yet; the other way round it could still log in.
func TestConfirmSpendsTheCodeFirst(t *testing.T) {
	p := newPlaceOnDisk(t)
	f := p.begin(t, "phone")
	code, store := p.shows(t, f, 0), p.Ledger
	stopped := errors.New("power cut")
	p.Ledger = after{store, func() error {
		if p.enrolled(t) {
			t.Error("the factor counted before its code was used up")
		}
		return stopped
	}}
	if _, err := p.Confirm(context.Background(), "alice", "phone", code); !errors.Is(err, stopped) {
		t.Fatalf("got %v", err)
	}
	p.Ledger = store
	if p.enrolled(t) {
		t.Error("enrolled by half a confirmation")
	}
	if _, err := p.Confirm(context.Background(), "alice", "phone", code); !errors.Is(err, enrollment.ErrCodeUsed) {
		t.Errorf("got %v, want %v", err, enrollment.ErrCodeUsed)
	}
	if _, err := p.Confirm(context.Background(), "alice", "phone", p.shows(t, f, 1)); err != nil || !p.enrolled(t) {
		t.Errorf("the next code does not confirm: %v", err)
	}
}

func TestConfirmNeedsTheLedger(t *testing.T) {
	p := newPlaceOnDisk(t)
	f := p.begin(t, "phone")
	p.Ledger = gatetest.FailingLedger{}
	if _, err := p.Confirm(context.Background(), "alice", "", p.shows(t, f, 0)); err == nil || p.enrolled(t) {
		t.Errorf("confirmed without a ledger: %v", err)
	}
}

// One code confirms once and logs nobody in, whoever comes first.
func TestConfirmAndLoginAtOnce(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.Config.Policy.Require = []config.Selector{"alice"}
	f := p.begin(t, "phone")
	code := p.shows(t, f, 0)
	var wait sync.WaitGroup
	var mu sync.Mutex
	confirmations, recovery := 0, 0
	for range 20 {
		wait.Go(func() {
			done, err := p.Confirm(context.Background(), "alice", "", code)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				confirmations++
				recovery += len(done.RecoveryCodes)
			case !errors.Is(err, enrollment.ErrNothingToConfirm):
				t.Error(err)
			}
		})
		wait.Go(func() {
			if verdict := p.login("alice", says(code)); verdict.Decision == gate.Accept || verdict.Decision == gate.NotAsked {
				t.Errorf("the confirming code logged in: %+v", verdict)
			}
		})
	}
	wait.Wait()
	if confirmations != 1 || recovery != 10 {
		t.Errorf("%d confirmations and %d recovery codes, want 1 and 10", confirmations, recovery)
	}
}

func TestEnrollmentsOfOnePersonKeepEachOther(t *testing.T) {
	p := newPlaceOnDisk(t)
	var wait sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		wait.Go(func() {
			if _, err := p.Enroll("alice", enrollment.NewFactor(id, p.Config.TOTP), false); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	person, err := p.Accounts.Load("alice")
	if err != nil || len(person.Factors) != 8 {
		t.Errorf("%d factors, want 8: %v", len(person.Factors), err)
	}
	if _, err := p.Enroll("alice", enrollment.NewFactor("i", p.Config.TOTP), false); err == nil {
		t.Error("a ninth factor was taken")
	}
	if _, err := p.Enroll("../alice", enrollment.NewFactor("a", p.Config.TOTP), false); err == nil {
		t.Error("a name led out of the directory")
	}
}

// Who has spent every recovery code gets new ones with the next device.
func TestConfirmRenewsSpentRecoveryCodes(t *testing.T) {
	p := newPlaceOnDisk(t)
	first, err := p.Confirm(context.Background(), "alice", "", p.shows(t, p.begin(t, "phone"), 0))
	if err != nil {
		t.Fatal(err)
	}
	for i, code := range first.RecoveryCodes {
		if i == len(first.RecoveryCodes)-1 {
			tablet, err := p.Confirm(context.Background(), "alice", "", p.shows(t, p.begin(t, "tablet"), 0))
			if err != nil || tablet.RecoveryCodes != nil {
				t.Errorf("new codes while one is left: %v, %v", tablet.RecoveryCodes, err)
			}
		}
		expect(t, p.login("alice", says(code)), gate.Accept, "recovery")
	}
	watch, err := p.Confirm(context.Background(), "alice", "", p.shows(t, p.begin(t, "watch"), 0))
	if err != nil || len(watch.RecoveryCodes) != 10 {
		t.Fatalf("%d new codes, want 10: %v", len(watch.RecoveryCodes), err)
	}
	expect(t, p.login("alice", says(watch.RecoveryCodes[0])), gate.Accept, "recovery")
}

func TestNewFactorHasTheSizeOfItsHash(t *testing.T) {
	for algorithm, size := range map[string]int{"SHA1": 20, "SHA256": 32, "SHA512": 64} {
		settings := config.Default().TOTP
		settings.Algorithm = algorithm
		one, other := enrollment.NewFactor("phone", settings), enrollment.NewFactor("phone", settings)
		if len(one.Secret) != size || one.Secret.Base32() == other.Secret.Base32() {
			t.Errorf("%s: a secret of %d bytes, want %d random ones", algorithm, len(one.Secret), size)
		}
	}
}

func TestEnableAndRecoveryNeedAFile(t *testing.T) {
	p := newPlaceOnDisk(t)
	if err := os.Mkdir(p.Config.Paths.Users, 0o700); err != nil {
		t.Fatal(err)
	}
	_, _, err := p.Enable(context.Background(), "alice", true)
	_, err2 := p.NewRecovery("alice")
	if !errors.Is(err, account.ErrNotFound) || !errors.Is(err2, account.ErrNotFound) {
		t.Errorf("got %v and %v", err, err2)
	}
	if _, err := p.Accounts.Load("alice"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("a file was made up: %v", err)
	}
}
