package selfservice

import (
	"testing"

	"github.com/otpgate/otpgate/internal/account"
)

// Whoever asks is answered before anybody looks whether there is such a person: else the
// time would tell.
func TestAskLooksLater(t *testing.T) {
	s := newSite(t)
	s.People.Accounts = untouched{t}
	looks := 0
	s.Later = notYet{looks: &looks}
	for _, name := range []string{"alice", "nobody", "../alice"} {
		s.Ask(name, home, "")
	}
	if looks != 3 {
		t.Errorf("%d looks are left for later, expected 3", looks)
	}
}

// untouched are secret files at which nobody is to look.
type untouched struct{ t *testing.T }

func (u untouched) Load(user string) (account.Person, error) {
	u.t.Errorf("it looked for %s", user)
	return account.Person{}, account.ErrNotFound
}

// notYet counts the looks that are for later, and does nothing.
type notYet struct {
	atOnce
	looks *int
}

func (n notYet) Look(Job) { *n.looks++ }
