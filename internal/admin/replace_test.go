package admin

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/enrollment"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
)

// Who asks for a replacement believes that the lost phone stops counting. If it
// has another name, a second device beside it is what a thief would wish for.
func TestReplaceNeedsWhatIsReplaced(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.Sender = &gatetest.Sender{}
	p.enrollPrepared(t, prepared("app"))
	ways := map[string]func(id string) error{
		"app": func(id string) error {
			_, err := p.Enroll("alice", enrollment.NewFactor(id, p.Config.TOTP), true)
			return err
		},
		"address": func(id string) error {
			_, err := p.EnrollSent("alice", account.Factor{ID: id, Kind: account.Email}, "alice@example.com", true)
			return err
		},
		"trusted": func(id string) error {
			_, _, err := p.EnrollTrusted(context.Background(), "alice", account.Factor{ID: id, Kind: account.Email}, "alice@example.com", true)
			return err
		},
		"prepared": func(id string) error {
			what := prepared(id)
			what.Replace = true
			_, err := p.EnrollPrepared(context.Background(), what)
			return err
		},
		"checked": func(id string) error {
			what := prepared(id)
			what.Replace = true
			return p.CheckPrepared(what)
		},
	}
	for name, enroll := range ways {
		var nothing NothingToReplaceError
		if err := enroll("phone"); !errors.As(err, &nothing) || nothing.User != "alice" || nothing.ID != "phone" || !slices.Equal(nothing.Have, []string{"app"}) {
			t.Errorf("%s: got %v", name, err)
		}
		if got := p.load(t); len(got.Factors) != 1 || got.Email != "" {
			t.Fatalf("%s: something was written: %+v", name, got)
		}
	}
	// One that waits under that id is none that could be lost. It is in the way
	// of a prepared one alone.
	if _, err := p.Enroll("alice", enrollment.NewFactor("phone", p.Config.TOTP), false); err != nil {
		t.Fatal(err)
	}
	var nothing NothingToReplaceError
	if err := ways["app"]("phone"); !errors.As(err, &nothing) {
		t.Errorf("over one that waits: got %v", err)
	}
	if err := ways["checked"]("phone"); err != nil {
		t.Errorf("prepared, over one that waits: %v", err)
	}
	if done, err := p.Enroll("alice", enrollment.NewFactor("app", p.Config.TOTP), true); err != nil || !done.Replaces || len(done.Beside) != 0 {
		t.Errorf("under its own id: %+v, %v", done, err)
	}
}

// Without anything confirmed, what waits may be made anew.
func TestReplaceWhatWaits(t *testing.T) {
	p := newPlaceOnDisk(t)
	var nothing NothingToReplaceError
	if _, err := p.Enroll("alice", enrollment.NewFactor("phone", p.Config.TOTP), true); !errors.As(err, &nothing) || nothing.Have != nil {
		t.Errorf("nobody's: %v", err)
	}
	p.begin(t, "phone")
	if done, err := p.Enroll("alice", enrollment.NewFactor("phone", p.Config.TOTP), true); err != nil || !done.Restarted {
		t.Errorf("one that waits: %+v, %v", done, err)
	}
	again := prepared("phone")
	again.Replace = true
	if done := p.enrollPrepared(t, again); done.Beside != nil {
		t.Errorf("beside nothing: %+v", done)
	}
}

func TestEnrollmentSaysWhatCountsBeside(t *testing.T) {
	p := newPlaceOnDisk(t)
	p.enrollPrepared(t, prepared("app"))
	if done, err := p.Enroll("alice", enrollment.NewFactor("phone", p.Config.TOTP), false); err != nil || !slices.Equal(done.Beside, []string{"app"}) {
		t.Errorf("%+v, %v", done, err)
	}
	if done := p.enrollPrepared(t, prepared("tablet")); !slices.Equal(done.Beside, []string{"app"}) {
		t.Errorf("%+v", done)
	}
}
