package selfservice

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/ledger"
)

// first is what the device of a setup shows now.
func (s *site) first(t *testing.T, setup invitation.Setup) string {
	t.Helper()
	return gatetest.CodeOf(t, setup.URI, s.Clock)
}

func (s *site) adds(t *testing.T, browser BrowserSession, name string) invitation.Setup {
	t.Helper()
	setup, err := s.Add(t.Context(), browser, name)
	if err != nil {
		t.Fatal(err)
	}
	return setup
}

// A device that is added counts once its first code came back, and the next code logs in.
func TestAddDevice(t *testing.T) {
	s := newSite(t)
	s.remembers(t, "198.51.100.7")
	browser := s.enters(t)
	dropped := s.adds(t, browser, "tablet")
	setup := s.adds(t, browser, "tablet")
	if shown, err := s.Shown(t.Context(), browser); err != nil || shown != setup || setup.Needs || setup.ID != "tablet" {
		t.Errorf("%v, %v", shown, err)
	}
	if s.devices(t) != "phone" {
		t.Errorf("before its first code there is %s", s.devices(t))
	}
	if s.first(t, dropped) != s.first(t, setup) {
		if err := s.Confirm(t.Context(), browser, s.first(t, dropped)); !errors.As(err, new(enrollment.WrongCodeError)) {
			t.Errorf("a code of the key that was dropped: %v", err)
		}
	}
	if err := s.Confirm(t.Context(), browser, s.first(t, setup)); err != nil || s.devices(t) != "phone tablet" {
		t.Fatalf("%v, %s", err, s.devices(t))
	}
	if s.last(t).Change != "The device tablet was added." {
		t.Errorf("%+v", s.last(t))
	}
	if got := s.logsIn(t, "198.51.100.9", s.first(t, setup)); got == gate.Accept {
		t.Error("the first code logs in")
	}
	if got := s.logsIn(t, "198.51.100.9", s.code(t, "tablet")); got != gate.Accept {
		t.Errorf("the next code is %s", got)
	}
	if sessions := s.shows(t, browser).Sessions; len(sessions) != 1 || sessions[0].Address != "198.51.100.9" {
		t.Errorf("a login is remembered that was with fewer devices: %+v", sessions)
	}
	if _, err := s.Shown(t.Context(), browser); !errors.Is(err, ErrNotFound) {
		t.Errorf("the key is shown again: %v", err)
	}
	for name, want := range map[string]error{"tablet": ErrTakenName, "": ErrBadName, "a b": ErrBadName, "../x": ErrBadName, strings.Repeat("a", 33): ErrBadName} {
		if _, err := s.Add(t.Context(), browser, name); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// After too many wrong first codes there is another key, and devices have an end.
func TestAddDeviceIsBounded(t *testing.T) {
	s := newSite(t)
	browser := s.enters(t)
	setup := s.adds(t, browser, "tablet")
	var fresh invitation.NewKeyError
	for n := range wrongCodes {
		err := s.Confirm(t.Context(), browser, s.wrong(t))
		if n < wrongCodes-1 && !errors.As(err, new(enrollment.WrongCodeError)) || n == wrongCodes-1 && !errors.As(err, &fresh) {
			t.Fatalf("%d: %v", n, err)
		}
	}
	if fresh.Setup.URI == setup.URI || fresh.Setup.ID != "tablet" {
		t.Error("the key is the old one")
	}
	if err := s.Confirm(t.Context(), browser, s.first(t, fresh.Setup)); err != nil {
		t.Fatal(err)
	}
	s.edit(t, func(person *account.Person) {
		for len(person.Factors) < account.MaxFactors {
			f := enrollment.NewFactor("d"+string(rune('a'+len(person.Factors))), s.People.Config.TOTP)
			f.Confirmed = s.Clock
			person.Factors = append(person.Factors, f)
		}
	})
	browser = s.enters(t)
	if _, err := s.Add(t.Context(), browser, "more"); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v", err)
	}
}

// A device that is renamed is the same one: what was used of it stays used, and its next
// code logs in under the new name. So it does where secrets are encrypted.
func TestRenameDevice(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		s := newSite(t)
		if encrypted {
			s.encrypts(t)
		}
		browser := s.enters(t)
		if err := s.Rename(t.Context(), browser, "phone", "laptop"); err != nil {
			t.Fatal(err)
		}
		if s.devices(t) != "laptop" || s.alice(t).Factors[0].IsEncrypted() != encrypted {
			t.Errorf("%s, encrypted %v", s.devices(t), s.alice(t).Factors[0].IsEncrypted())
		}
		if got := s.logsIn(t, "198.51.100.9", s.codeNow(t, "laptop")); got == gate.Accept {
			t.Error("a used code logs in after a new name")
		}
		if got := s.logsIn(t, "198.51.100.9", s.code(t, "laptop")); got != gate.Accept || !strings.Contains(s.Lines(), "rule=totp:laptop") {
			t.Errorf("the next code is %s", got)
		}
		for _, row := range []struct {
			id, name string
			want     error
		}{{"phone", "x", ErrNotFound}, {"laptop", "laptop", ErrTakenName}, {"laptop", "a b", ErrBadName}} {
			if err := s.Rename(t.Context(), browser, row.id, row.name); !errors.Is(err, row.want) {
				t.Errorf("%v: %v", row, err)
			}
		}
		if s.last(t).Change != "The device phone is called laptop now." {
			t.Errorf("%+v", s.last(t))
		}
	}
}

// Removing takes a fresh code, and the last device of somebody who must have one stays.
func TestRemoveDevice(t *testing.T) {
	s := newSite(t)
	s.People.Config.Policy.Require = []config.Selector{config.All}
	browser := s.enters(t)
	entered := s.codeNow(t, "phone")
	if err := s.Remove(t.Context(), browser, "phone", s.code(t, "phone")); !errors.Is(err, ErrLast) || s.shows(t, browser).Devices[0].Removable {
		t.Errorf("got %v", err)
	}
	setup := s.adds(t, browser, "tablet")
	if err := s.Confirm(t.Context(), browser, s.first(t, setup)); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]error{entered: invitation.ErrCurrentUsed, s.wrong(t): invitation.ErrCurrent, "": invitation.ErrCurrent} {
		if err := s.Remove(t.Context(), browser, "phone", code); !errors.Is(err, want) {
			t.Errorf("%q: %v", code, err)
		}
	}
	if err := s.Remove(t.Context(), browser, "lamp", s.recovery[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	gone := s.codeNow(t, "phone")
	if err := s.Remove(t.Context(), browser, "phone", s.recovery[0]); err != nil || s.devices(t) != "tablet" {
		t.Fatalf("%v, %s", err, s.devices(t))
	}
	if got := s.logsIn(t, "198.51.100.9", gone); got == gate.Accept {
		t.Error("a device that was removed logs in")
	}
	if err := s.Remove(t.Context(), browser, "tablet", s.code(t, "tablet")); !errors.Is(err, ErrLast) {
		t.Errorf("got %v", err)
	}
	// Doubt is a requirement.
	s.People.Config.Policy.Require = []config.Selector{"@nss-down"}
	if err := s.Remove(t.Context(), browser, "tablet", s.code(t, "tablet")); !errors.Is(err, ErrLast) {
		t.Errorf("got %v", err)
	}
	s.People.Config.Policy.Require = nil
	if err := s.Remove(t.Context(), browser, "tablet", s.recovery[1]); err != nil || s.devices(t) != "" || len(s.alice(t).Recovery.Hashes) != 0 {
		t.Errorf("%v, %s", err, s.devices(t))
	}
}

// New recovery codes take a fresh code, and the old ones are worthless.
func TestNewRecovery(t *testing.T) {
	s := newSite(t)
	browser := s.enters(t)
	if _, err := s.NewRecovery(t.Context(), browser, s.codeNow(t, "phone")); !errors.Is(err, invitation.ErrCurrentUsed) {
		t.Errorf("got %v", err)
	}
	codes, err := s.NewRecovery(t.Context(), browser, s.code(t, "phone"))
	if err != nil || len(codes) != 10 {
		t.Fatalf("%d codes, %v", len(codes), err)
	}
	if got := s.logsIn(t, "198.51.100.9", s.recovery[0]); got == gate.Accept {
		t.Error("an old recovery code logs in")
	}
	if got := s.logsIn(t, "198.51.100.9", codes[0]); got != gate.Accept {
		t.Errorf("a new one is %s", got)
	}
	if left := s.shows(t, browser).RecoveryLeft; left != 9 {
		t.Errorf("%d left", left)
	}
}

// Where the file cannot be written nothing is changed, and the browser session goes on.
func TestNothingHalfDone(t *testing.T) {
	s := newSite(t)
	browser := s.enters(t)
	users := s.People.Config.Paths.Users
	if err := os.Chmod(users, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := s.Rename(t.Context(), browser, "phone", "laptop"); err == nil {
		t.Error("it is renamed in a directory that anybody may change")
	}
	if err := os.Chmod(users, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Rename(ctx, browser, "phone", "laptop"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if s.devices(t) != "phone" || len(s.shows(t, browser).Devices) != 1 {
		t.Errorf("there is %s", s.devices(t))
	}
	// A ledger that fails behind the file undoes nothing, and ends the browser session.
	s.People.Ledger = &failing{s.People.Ledger, ledger.Link}
	if err := s.Rename(t.Context(), browser, "phone", "laptop"); err != nil || s.devices(t) != "laptop" || !strings.Contains(s.Lines(), "verdict=fault rule=manage") {
		t.Errorf("%v, %s\n%s", err, s.devices(t), s.Lines())
	}
	s.over(t, browser, invitation.ErrOvertaken)
}

// failing is a ledger in which keys of a kind cannot be updated.
type failing struct {
	ledger.Store
	kind ledger.Kind
}

func (f *failing) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if key.Kind == f.kind {
		return errors.New("the ledger is away")
	}
	return f.Store.Update(ctx, key, change)
}

// A login that was not the person's is told to whoever looks after the machine, and
// nothing is remembered any more.
func TestReport(t *testing.T) {
	s := newSite(t)
	s.remembers(t, "198.51.100.7", "198.51.100.8")
	browser := s.enters(t)
	login := s.shows(t, browser).Logins[1]
	if err := s.Report(t.Context(), browser, "0123456789abcdef"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	before := s.count()
	if err := s.Report(t.Context(), browser, login.ID); err != nil {
		t.Fatal(err)
	}
	words := login.At.UTC().Format(time.RFC3339) + ", right code, totp:phone, service sshd, from 198.51.100.7, on server1"
	if s.count() != before+2 {
		t.Fatalf("%d mails", s.count()-before)
	}
	if mail := s.mails[before]; mail.Email != "security@example.com" || !mail.Report || mail.Change != "A login of alice was reported as somebody else's: "+words+"." {
		t.Errorf("%+v", mail)
	}
	if mail := s.mails[before+1]; mail.Email != "alice@example.com" || mail.Report || !strings.HasSuffix(mail.Change, "2 remembered logins were ended.") {
		t.Errorf("%+v", mail)
	}
	if want := `user=alice service=sshd remote=192.0.2.1 verdict=reported rule=totp:phone by=self-service reason="` + words + `"`; !strings.Contains(s.Lines(), want) {
		t.Errorf("expected %s in\n%s", want, s.Lines())
	}
	if got := s.logsIn(t, "198.51.100.7", ""); got == gate.NotAsked {
		t.Error("it is still remembered")
	}
	s.People.Config.Portal.ReportTo = ""
	if err := s.Report(t.Context(), browser, s.shows(t, browser).Logins[0].ID); err != nil || s.count() != before+3 {
		t.Errorf("%v, %d mails", err, s.count()-before)
	}
}
