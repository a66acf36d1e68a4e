package gate

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
)

const identity = "ubhe00000001"

// yubikey gives alice a token with these digits that types identity first.
func (p *fixture) yubikey(t *testing.T) {
	t.Helper()
	p.Give("alice")
	person := p.Known["alice"]
	token := person.Factors[0]
	token.ID, token.Kind, token.Period, token.Confirmed, token.Prefix = "yubikey", account.HOTP, 0, gatetest.Confirmed, identity
	other := token
	other.ID, other.Prefix, other.Secret = "spare", "cccc00000002", account.Secret("secret of another, 20 b")
	person.Factors = append(person.Factors, token, other)
	p.Known["alice"] = person
}

func (p *fixture) wrongCodes(t *testing.T, name string) int {
	t.Helper()
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return entry.Attempts.Wrong
}

func TestPrefixAtTheLogin(t *testing.T) {
	p := newFixture(t)
	p.yubikey(t)
	code := identity + p.Press(t, "alice", 0)
	expect(t, p.login("alice", says(code)), Accept, "hotp:yubikey")
	if v := p.login("alice", says(code, strings.TrimPrefix(code, identity))); v.Decision == Accept {
		t.Errorf("a used code: %+v", v)
	}
	// Another identity is no guess, and the log says what it may be.
	before := p.wrongCodes(t, "alice")
	wrong := "vvhe00000009" + p.Press(t, "alice", 1)
	v := p.login("alice", says(wrong, wrong, wrong))
	expect(t, v, TooMany, "policy.attempts.per_login")
	if !strings.Contains(v.Reason, "with something else before it") || !strings.Contains(v.Reason, "--prefix") || strings.Contains(v.Reason, "vvhe") {
		t.Errorf("reason: %s", v.Reason)
	}
	if after := p.wrongCodes(t, "alice"); after != before {
		t.Errorf("%d wrong codes, and %d before", after, before)
	}
}

func TestPrefixBehindThePassword(t *testing.T) {
	p := newFixture(t)
	p.yubikey(t)
	for text, want := range map[string]int{
		"secret" + identity + "123456":       len(identity) + 6,
		"secretcccc00000002123456":           len(identity) + 6,
		"secret123456":                       6,
		"secretubhe00000009123456":           6, // of the password, for all that can be known
		"secret" + identity + "12345":        6,
		"secretcccc00000001123456":           6,
		identity + "123456":                  6,
		"secret" + strings.ToUpper(identity): 6,
		"secret" + identity + "12345x":       0,
	} {
		n, _, err := p.split("alice", text)
		if n != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
}
