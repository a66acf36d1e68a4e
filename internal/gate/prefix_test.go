package gate

import (
	"strings"
	"testing"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

const identity = "ubhe00000001"

// yubikey gives alice a token with these digits that types identity first.
func (p *place) yubikey(t *testing.T) {
	t.Helper()
	p.enroll("alice")
	person := p.people["alice"]
	token := person.Factors[0]
	token.ID, token.Kind, token.Period, token.Confirmed, token.Prefix = "yubikey", account.HOTP, 0, confirmed, identity
	other := token
	other.ID, other.Prefix, other.Secret = "spare", "cccc00000002", account.Secret("secret of another, 20 b")
	person.Factors = append(person.Factors, token, other)
	p.people["alice"] = person
}

// token gives name a token with a counter beside the phone.
func (p *place) token(name string) {
	p.enroll(name)
	person := p.people[name]
	person.Factors = append(person.Factors, account.Factor{
		ID: "token", Kind: account.HOTP, Secret: account.Secret("token of " + name + ", 20 bytes"), Digits: 6, Algorithm: "SHA1", Confirmed: confirmed,
	})
	p.people[name] = person
}

// tokenCode is what the token makes at a counter, by an independent library.
func (p *place) tokenCode(t *testing.T, counter uint64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(p.people["alice"].Factors[1].Secret.Base32(), counter, hotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func (p *place) wrongCodes(t *testing.T, name string) int {
	t.Helper()
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return entry.Attempts.Wrong
}

func TestPrefixAtTheLogin(t *testing.T) {
	p := newPlace(t)
	p.yubikey(t)
	code := identity + p.tokenCode(t, 0)
	expect(t, p.login("alice", says(code)), Accept, "hotp:yubikey")
	if v := p.login("alice", says(code, strings.TrimPrefix(code, identity))); v.Decision == Accept {
		t.Errorf("a used code: %+v", v)
	}
	// Another identity is no guess, and the log says what it may be.
	before := p.wrongCodes(t, "alice")
	wrong := "vvhe00000009" + p.tokenCode(t, 1)
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
	p := newPlace(t)
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
