package gate

import (
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
)

// Somebody whom only the password stage knows, which takes any case as LDAP does,
// does not step round the code by another one, nor gets a second enrollment.
func TestAnotherCaseOfANameThatTheSystemDoesNotKnow(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.Give("Bob")
	p.Give("bOb")
	p.Give("élan")
	for _, unenrolled := range []config.Unenrolled{config.Refuse, config.Allow, config.Enroll} {
		for _, require := range [][]config.Selector{nil, {config.All}} {
			p.Config.Policy.Unenrolled, p.Config.Policy.Require = unenrolled, require
			p.Config.Policy.Grace.For = time.Hour
			for user, want := range map[string]Decision{"ALICE": Deny, "Alice": Deny, "BOB": Fault, "ÉLAN": Deny} {
				if v := p.login(user, says()); v.Decision != want {
					t.Errorf("%s with %s and %v: %+v", user, unenrolled, require, v)
				}
			}
			code := p.Code(t, "alice", 0)
			if v := p.login("ALICE", says(code)); v.Decision != Accept || v.Rule != "totp:phone" {
				t.Errorf("ALICE with alice's code: %+v", v)
			}
			if v := p.login("alice", says(code, code, code)); v.Decision == Accept {
				t.Errorf("alice with ALICE's code: %+v", v)
			}
			p.Clock = p.Clock.Add(time.Hour)
		}
	}
	// Nor does who has no secret file get round being named in the policy.
	p.Config.Policy = config.Default().Policy
	p.Config.Policy.Require = []config.Selector{"dora"}
	for user, want := range map[string]Decision{"dora": Deny, "DORA": Deny, "doris": NotAsked} {
		if v := p.login(user, says()); v.Decision != want {
			t.Errorf("%s, required by name: %+v", user, v)
		}
	}
	// An exemption is of the one name.
	p.Config.Policy.Require, p.Config.Policy.Exempt = []config.Selector{config.All}, []config.Selector{"dora"}
	if v := p.login("DORA", says()); v.Decision != Deny {
		t.Errorf("DORA, where dora is exempt: %+v", v)
	}
	// Who has a name of his own is somebody else.
	p.Config.Policy = config.Default().Policy
	p.Aliases = map[string]string{"ALICE": "ALICE"}
	if v := p.login("ALICE", says()); v.Decision != NotAsked || v.Rule != "not-enrolled" {
		t.Errorf("another person of that name: %+v", v)
	}
	if v := p.login("alicia", says()); v.Decision != NotAsked {
		t.Errorf("another name: %+v", v)
	}
}

// Nor does another case begin another grace, or one after codes were taken away.
func TestGraceIsOneForAllCases(t *testing.T) {
	p := newFixture(t)
	p.Config.Policy.Require, p.Config.Policy.Grace.For = []config.Selector{config.All}, time.Hour
	p.Aliases = map[string]string{"Erin": "Erin"}
	for _, name := range []string{"fay", "Gus"} {
		p.Give(name)
		expect(t, p.login(name, says(p.Code(t, name, 0))), Accept, "totp:phone")
		delete(p.Known, name)
	}
	for user, rule := range map[string]string{"Dora": "policy.grace", "Erin": "policy.grace", "FAY": "policy.unenrolled", "Gus": "policy.unenrolled"} {
		if v := p.login(user, says()); v.Rule != rule {
			t.Errorf("%s at first: %+v", user, v)
		}
	}
	p.Clock = p.Clock.Add(2 * time.Hour)
	for user, rule := range map[string]string{"dora": "policy.unenrolled", "DORA": "policy.unenrolled", "Dora": "policy.unenrolled", "erin": "policy.grace", "Erin": "policy.unenrolled"} {
		if v := p.login(user, says()); v.Rule != rule {
			t.Errorf("%s later: %+v", user, v)
		}
	}
	if until, begun, err := p.GraceOf(t.Context(), "DORA"); err != nil || !begun || until.After(p.Clock) {
		t.Errorf("DORA's grace: %v, %v, %v", until, begun, err)
	}
}

func TestUserFilesLike(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"alice", "Alice", "bob"} {
		write(t, dir, account.Person{Version: 1, User: name, Enabled: true})
	}
	files := userFiles{Place{Place: account.Place{Path: dir}}}
	for name, want := range map[string][]string{"ALICE": {"Alice", "alice"}, "alice": {"Alice"}, "BOB": {"bob"}, "bob": {}, "carol": {}} {
		if got, err := files.Like(name); err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := (userFiles{Place{Place: account.Place{Path: dir + "/none"}}}).Like("bob"); err == nil {
		t.Error("no directory is no error")
	}
}
