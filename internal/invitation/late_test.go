package invitation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/gate/enginetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Whoever's device counts is shown the recovery codes, also where the disk does not say
// that it keeps the file: there is no other time.
func TestDiskDoesNotSayThatItKeeps(t *testing.T) {
	const variable = "INVITATION_PLACE"
	if place := os.Getenv(variable); place != "" {
		words := strings.Fields(place)
		s := newSite(t)
		store, err := ledger.OpenFiles(words[1])
		if err != nil {
			t.Fatal(err)
		}
		s.People.Ledger, s.People.Config.Paths.Users = store, words[0]
		s.People.Accounts = enginetest.Files{Place: gate.PlaceOf(s.People.Config)}
		enrolled, err := s.Confirm(t.Context(), Answer{BrowserSession: words[2], First: words[3], Remote: home})
		fmt.Printf("%d recovery codes, %v\n%s\n", len(enrolled.RecoveryCodes), err, s.Lines())
		return
	}
	s := newSite(t)
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	users := s.People.Config.Paths.Users
	cmd := exec.Command("strace", "-f", "-qq", "-o", os.DevNull, "-P", users, "-e", "trace=fsync", "-e", "inject=fsync:error=EIO",
		os.Args[0], "-test.run=^TestDiskDoesNotSayThatItKeeps$")
	cmd.Env = append(os.Environ(), variable+"="+strings.Join([]string{users, s.state, setup.BrowserSession, s.code(t, setup, 0)}, " "), "GORACE=atexit_sleep_ms=0")
	said, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "10 recovery codes, <nil>") {
		t.Errorf("%v\n%s", err, said)
	}
	// The admin finds in the log what became of it.
	if !strings.Contains(string(said), "verdict=enrolled") || !strings.Contains(string(said), "which a power failure may undo") {
		t.Errorf("the log says %s", said)
	}
	s.looks(t, link, Used)
	if s.devices(t) != "phone" {
		t.Errorf("%q counts", s.devices(t))
	}
}

// What begins when its asker has gone changes nothing, as nobody would see the codes.
func TestNothingBeginsLate(t *testing.T) {
	for name, kind := range map[string]ledger.Kind{"the file": 0, "the link": ledger.User} {
		s := newSite(t)
		link := s.invite(t, false).Link
		setup := s.begin(t, link)
		ctx, end := context.WithCancel(t.Context())
		store := s.People.Ledger
		if kind == 0 {
			s.People.Ledger = &seen{store, end}
		} else {
			s.People.Ledger = &hooked{Store: store, kind: kind, hook: func() error { end(); return nil }}
		}
		before := everything(t, s.place().Path)
		answer := s.answer(t, setup)
		if _, err := s.Confirm(ctx, answer); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		end()
		s.People.Ledger = store
		if after := everything(t, s.place().Path); after != before {
			t.Errorf("%s: the file changed", name)
		}
		s.looks(t, link, Ready)
		if kind == 0 {
			s.confirm(t, answer) // the code is not used up
		}
	}
}

// seen is a ledger after whose first look at a link something happens, as while the
// lock of the secret file is waited for.
type seen struct {
	ledger.Store
	then func()
}

func (s *seen) View(ctx context.Context, key ledger.Key) (ledger.Entry, error) {
	entry, err := s.Store.View(ctx, key)
	if key.Kind == ledger.Link {
		s.then()
	}
	return entry, err
}

// A link is given back also where whoever used it has gone meanwhile.
func TestGivenBackLate(t *testing.T) {
	s := newSite(t)
	link := s.invite(t, false).Link
	setup := s.begin(t, link)
	inTheWay := filepath.Join(s.place().Path, ".new-alice.toml", "full")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	s.People.Ledger = bounded{&hooked{Store: s.People.Ledger, kind: ledger.Link, hook: func() error { end(); return nil }}}
	if _, err := s.Confirm(ctx, s.answer(t, setup)); err == nil {
		t.Fatal("written all the same")
	}
	s.looks(t, link, Ready)
}

// bounded is a ledger that asks nobody once a context has ended, as one in etcd.
type bounded struct{ ledger.Store }

func (b bounded) Update(ctx context.Context, key ledger.Key, change func(*ledger.Entry) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.Store.Update(ctx, key, change)
}
