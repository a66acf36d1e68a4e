package gate

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
)

// required gives a place where everybody must give a code and bob has none.
func required(t *testing.T, grace config.Grace) *fixture {
	p := newFixture(t)
	p.Config.Policy.Require = []config.Selector{config.All}
	p.Config.Policy.Grace = grace
	return p
}

func TestGraceCountsFromTheFirstLogin(t *testing.T) {
	p := required(t, config.Grace{For: 14 * 24 * time.Hour})
	request := Request{User: "bob", Service: "sshd"}
	for range 2 { // looking begins nothing
		if need, err := p.Need(context.Background(), request); err != nil || need.Code != InGrace || need.Rule != "policy.grace" {
			t.Errorf("%+v, %v", need, err)
		}
		p.Clock = p.Clock.Add(24 * time.Hour)
	}
	conversation := says()
	expect(t, p.login("bob", conversation), NotAsked, "policy.grace")
	if len(conversation.told) != 1 || !strings.Contains(conversation.told[0], Clock(p.Clock.Add(14*24*time.Hour))) {
		t.Errorf("told %q", conversation.told)
	}
	p.Clock = p.Clock.Add(14*24*time.Hour - time.Second)
	expect(t, p.login("bob", says()), NotAsked, "policy.grace")
	p.Clock = p.Clock.Add(time.Second)
	expect(t, p.login("bob", says()), Deny, "policy.unenrolled")
	expect(t, p.login("carol", says()), NotAsked, "policy.grace")
	if need, _ := p.Need(context.Background(), request); need.Code != Refused {
		t.Errorf("%+v", need)
	}
}

func TestGraceUntilADay(t *testing.T) {
	p := newFixture(t)
	p = required(t, config.Grace{Until: p.Clock.Add(time.Hour)})
	expect(t, p.login("bob", says()), NotAsked, "policy.grace")
	p.Clock = p.Clock.Add(time.Hour)
	expect(t, p.login("bob", says()), Deny, "policy.unenrolled")
	p.Config.Policy.Unenrolled = config.Enroll
	conversation := says()
	expect(t, p.login("bob", conversation), Deny, "policy.unenrolled")
	if conversation.asked != 1 {
		t.Error("was not asked to enroll")
	}
}

// Who had codes once does not get days without, as after a theft.
func TestNoGraceAfterCodes(t *testing.T) {
	for _, grace := range []config.Grace{{For: time.Hour}, {Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}} {
		p := required(t, grace)
		p.Give("alice")
		expect(t, p.login("alice", says(p.Code(t, "alice", 0))), Accept, "totp:phone")
		delete(p.Known, "alice")
		expect(t, p.login("alice", says()), Deny, "policy.unenrolled")
		expect(t, p.login("bob", says()), NotAsked, "policy.grace")
	}
}

// Grace is for those who have not enrolled yet, not for those whose codes an
// admin took away, and it opens nothing while the ledger is broken.
func TestNoGrace(t *testing.T) {
	p := required(t, config.Grace{For: time.Hour})
	p.Give("alice")
	expect(t, p.login("alice", says()), Deny, "no-answer")
	person := p.Known["alice"]
	person.Enabled = false
	p.Known["alice"] = person
	for _, unenrolled := range []config.Unenrolled{config.Refuse, config.Enroll} {
		p.Config.Policy.Unenrolled = unenrolled
		expect(t, p.login("alice", says("", "123456")), Deny, "policy.unenrolled")
		if need, _ := p.Need(context.Background(), Request{User: "alice", Service: "sshd"}); need.Code != Refused {
			t.Errorf("%+v", need)
		}
	}
	p.Ledger = gatetest.FailingLedger{}
	expect(t, p.login("bob", says()), Fault, "ledger")
}

func TestGraceOf(t *testing.T) {
	fortnight := 14 * 24 * time.Hour
	p := required(t, config.Grace{For: fortnight})
	p.Config.Policy.Exempt = []config.Selector{"robot"}
	grace := func(user string) (time.Time, bool) {
		t.Helper()
		until, begun, err := p.GraceOf(context.Background(), user)
		if err != nil {
			t.Fatal(err)
		}
		return until, begun
	}
	if until, begun := grace("bob"); begun || !until.Equal(p.Clock.Add(fortnight)) {
		t.Errorf("not begun: %s, %v", until, begun)
	}
	expect(t, p.login("bob", says()), NotAsked, "policy.grace")
	began := p.Clock
	p.Clock = p.Clock.Add(20 * 24 * time.Hour)
	if until, begun := grace("bob"); !begun || !until.Equal(began.Add(fortnight)) {
		t.Errorf("over: %s, %v", until, begun)
	}
	p.Known["carl"] = account.Person{Version: 1, User: "carl", Enabled: false}
	p.Give("dora")
	for _, user := range []string{"robot", "carl", "dora"} {
		if until, _ := grace(user); !until.IsZero() {
			t.Errorf("%s has grace until %s", user, until)
		}
	}
	p.Config.Policy.Unenrolled = config.Allow
	if until, _ := grace("bob"); !until.IsZero() {
		t.Errorf("where all are let in anyhow: %s", until)
	}
	p.Config.Policy.Unenrolled = config.Refuse
	p.Config.Policy.Grace = config.Grace{Until: began}
	if until, begun := grace("bob"); !begun || !until.Equal(began) {
		t.Errorf("until a day: %s, %v", until, begun)
	}
	p.Config.Policy.Grace = config.Grace{}
	if until, _ := grace("bob"); !until.IsZero() {
		t.Errorf("none: %s", until)
	}
}
