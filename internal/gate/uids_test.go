package gate

import (
	"testing"

	"github.com/otpgate/otpgate/internal/config"
)

// Whoever logs in under another name of the same account is asked for the codes
// of the name that has enrolled, once for both.
func TestAnotherNameOfTheSameAccount(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.Give("own")
	p.Aliases = map[string]string{"alice": "alice", "alice2": "alice2", "ALICE2": "alice2", "own": "own", "carol": "carol", "dora": "dora", "dora2": "dora2", "dora3": "dora3", "uids-down": "uids-down", "odd": "odd"}
	p.SameUID = map[string][]string{
		"alice2": {"alice", "own", "alice2"}, "own": {"alice", "own"}, "carol": {"caroline"}, "odd": {"../alice"},
		"dora": {"dora", "dora2", "dora3"}, "dora2": {"dora", "dora2", "dora3"}, "dora3": {"dora", "dora2", "dora3"},
	}
	for _, unenrolled := range []config.Unenrolled{config.Refuse, config.Allow, config.Enroll} {
		p.Config.Policy.Unenrolled, p.Config.Policy.Require = unenrolled, []config.Selector{"alice2"}
		for _, name := range []string{"alice2", "ALICE2"} {
			if v := p.login(name, says()); v.Decision != Deny {
				t.Errorf("%s with %s: %+v", name, unenrolled, v)
			}
		}
	}
	p.Config.Policy = config.Default().Policy
	code := p.Code(t, "alice", 0)
	expect(t, p.login("alice2", says(code)), Accept, "totp:phone")
	if v := p.login("alice", says(code, code, code)); v.Decision == Accept {
		t.Errorf("alice with alice2's code: %+v", v)
	}
	// Who has a secret file is asked for that.
	if v := p.login("own", says(p.Code(t, "alice", 1), p.Code(t, "alice", 1), p.Code(t, "alice", 1))); v.Decision == Accept {
		t.Errorf("own with alice's code: %+v", v)
	}
	expect(t, p.login("own", says(p.Code(t, "own", 0))), Accept, "totp:phone")
	expect(t, p.login("carol", says()), NotAsked, "not-enrolled")
	expect(t, p.login("odd", says()), NotAsked, "not-enrolled")
	p.Groups = map[string][]string{"staff": {"caroline"}}
	for _, selector := range []config.Selector{"caroline", "@staff"} {
		p.Config.Policy.Require = []config.Selector{selector}
		expect(t, p.login("carol", says()), Deny, "policy.unenrolled")
		expect(t, p.login("dora", says()), NotAsked, "not-enrolled")
	}
	p.Config.Policy.Require = nil
	expect(t, p.login("uids-down", says()), Fault, "name-service")
	// Whichever name is enrolled, the others are asked for its codes.
	p.Give("dora2")
	expect(t, p.login("dora", says()), Deny, "no-answer")
	expect(t, p.login("dora3", says(p.Code(t, "dora2", 0))), Accept, "totp:phone")
	expect(t, p.login("dora", says(p.Code(t, "dora2", 1))), Accept, "totp:phone")
	// Codes that were taken from one name are not given out to another.
	person := p.Known["alice"]
	person.Enabled = false
	p.Known["alice"] = person
	p.Config.Policy.Require, p.Config.Policy.Unenrolled = []config.Selector{config.All}, config.Enroll
	expect(t, p.login("alice2", says()), Deny, "policy.unenrolled")
}
