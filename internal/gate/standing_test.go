package gate

import (
	"errors"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
)

// Who is required, who has a file, and who is exempt, are told apart.
func TestStandingOf(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Require = []config.Selector{"@staff", "carol"}
	p.Config.Policy.Exempt = []config.Selector{"@robots"}
	p.Groups = map[string][]string{"staff": {"alice", "bob", "robby"}, "robots": {"robby"}}
	p.Known["alice"] = account.Person{Version: 1, User: "alice", Enabled: true}
	p.Aliases = map[string]string{"ALICE": "alice"}
	for user, want := range map[string]Standing{
		"alice": {Required: true, RequiredBy: "@staff", Person: p.Known["alice"], Found: true},
		"ALICE": {Required: true, RequiredBy: "@staff", Person: p.Known["alice"], Found: true},
		"bob":   {Required: true, RequiredBy: "@staff", Person: account.Person{User: "bob"}},
		"carol": {Required: true, RequiredBy: "carol", Person: account.Person{User: "carol"}},
		"robby": {Person: account.Person{User: "robby"}},
		"dave":  {Person: account.Person{User: "dave"}},
	} {
		got, err := p.StandingOf(user)
		if err != nil || got.Required != want.Required || got.RequiredBy != want.RequiredBy || got.Found != want.Found || got.Person.User != want.Person.User {
			t.Errorf("%s: %+v, %v, want %+v", user, got, err, want)
		}
	}
	p.Broken = errors.New("unreadable")
	if _, err := p.StandingOf("alice"); !errors.Is(err, p.Broken) {
		t.Errorf("an unreadable file: %v", err)
	}
}
