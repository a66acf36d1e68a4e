package selfservice

import (
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/invitation"
)

// A browser session ends when somebody else makes new recovery codes, or gives another address, as
// after a sheet of paper or a mailbox was stolen. A link ends with the address.
func TestSessionEndsWithRecoveryCodesAndAddress(t *testing.T) {
	for what, change := range map[string]func(*account.Person){
		"recovery codes": func(person *account.Person) { _, person.Recovery = factor.NewRecovery("alice") },
		"address":        func(person *account.Person) { person.Email = "new@example.com" },
	} {
		s := newSite(t)
		browser := s.enters(t)
		// What is done in the browser session ends nothing.
		if _, err := s.NewRecovery(t.Context(), browser, s.code(t, "phone")); err != nil {
			t.Fatal(err)
		}
		s.shows(t, browser)
		link := s.link(t)
		s.edit(t, change)
		s.over(t, browser, invitation.ErrOvertaken)
		if _, err := s.Add(t.Context(), browser, "tablet"); !errors.Is(err, invitation.ErrOvertaken) {
			t.Errorf("%s: %v", what, err)
		}
		if what != "address" {
			continue
		}
		if page, err := s.Look(t.Context(), link); err != nil || page.State != invitation.Cancelled {
			t.Errorf("%+v, %v", page, err)
		}
		if _, err := s.Enter(t.Context(), link, s.code(t, "phone"), home); !errors.Is(err, invitation.ErrCancelled) {
			t.Errorf("got %v", err)
		}
	}
}
