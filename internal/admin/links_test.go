package admin

import (
	"errors"
	"os"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// linked has a person who has a link, which showed the key of a device "shown".
func linked(t *testing.T, p *fixture, user, link string) {
	t.Helper()
	shown := account.Factor{ID: "shown", Kind: account.TOTP, Secret: newSecret("SHA1"), Digits: 6, Period: 30, Algorithm: "SHA1"}
	dir, err := account.Create(p.Config.Paths.Users)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	err = dir.Change(user, func(person *account.Person) error {
		person.Factors = append(person.Factors, shown)
		return nil
	})
	if err == nil {
		err = p.Ledger.Update(t.Context(), ledger.Key{Kind: ledger.Link, Name: link}, func(entry *ledger.Entry) error {
			entry.Invitation = ledger.Invitation{User: user, Purpose: "enroll", Factor: "shown", Made: p.Clock, Ends: p.Clock.AddDate(0, 0, 3), Key: factor.Fingerprint(user, shown)}
			return nil
		})
	}
	if err == nil {
		err = p.Ledger.Update(t.Context(), ledger.Key{Kind: ledger.Invited, Name: user}, func(entry *ledger.Entry) error {
			entry.Links = append(entry.Links, ledger.InvitationLink{Name: link, Ends: p.Clock.AddDate(0, 0, 3)})
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// isLinked says whether the ledger knows of a link.
func (p *fixture) isLinked(t *testing.T, user, link string) bool {
	t.Helper()
	one, err := p.Ledger.View(t.Context(), ledger.Key{Kind: ledger.Link, Name: link})
	index, err2 := p.Ledger.View(t.Context(), ledger.Key{Kind: ledger.Invited, Name: user})
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return one.Invitation != (ledger.Invitation{}) || len(index.Links) > 0
}

// Whoever has a link of somebody who is gone enrolls nobody who gets the name.
func TestRemoveEndsLinks(t *testing.T) {
	p := renamePlace(t)
	linked(t, p, "alice", "0123")
	linked(t, p, "bob", "4567")
	if err := p.Remove(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.file("alice")); !os.IsNotExist(err) || p.isLinked(t, "alice", "0123") {
		t.Errorf("alice's file or link is left: %v", err)
	}
	if !p.isLinked(t, "bob", "4567") {
		t.Error("bob's link is gone")
	}
	if err := p.Remove(t.Context(), "alice"); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
	if err := p.Remove(t.Context(), "../alice"); err == nil {
		t.Error("removed a name that is none")
	}
}

func TestRemoveKilled(t *testing.T) {
	p := renamePlace(t)
	linked(t, p, "alice", "0123")
	p.Ledger = &killed{p.Ledger, 2, false}
	func() {
		defer func() {
			if recover() != errKilled {
				t.Error("it was not killed")
			}
		}()
		_ = p.Remove(t.Context(), "alice")
	}()
	if _, err := os.Stat(p.file("alice")); err != nil {
		t.Errorf("a link is left without the file by which it can be found: %v", err)
	}
}

// A link of either name is over, and the key that it showed waits for nobody.
func TestRenameEndsLinks(t *testing.T) {
	p := renamePlace(t)
	linked(t, p, "alice", "0123")
	linked(t, p, "alicia", "4567")
	linked(t, p, "carol", "89ab")
	if err := os.Remove(p.file("alicia")); err != nil {
		t.Fatal(err)
	}
	done, err := p.Rename(t.Context(), "alice", "alicia")
	if err != nil || len(done.Person.Factors) != 2 {
		t.Errorf("%d factors, %v", len(done.Person.Factors), err)
	}
	if person, err := p.Accounts.Load("alicia"); err != nil || len(person.Factors) != 2 || len(person.Confirmed()) != 2 {
		t.Errorf("%d factors, %v", len(person.Factors), err)
	}
	if p.isLinked(t, "alice", "0123") || p.isLinked(t, "alicia", "4567") || !p.isLinked(t, "carol", "89ab") {
		t.Error("a link is left, or another person's is gone")
	}
	expectMoved(t, p)
}
