package gate

import (
	"slices"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/factor"
	"github.com/otpgate/otpgate/internal/ledger"
)

// bring gives name these scratch codes and no other recovery codes.
func (p *fixture) bring(t *testing.T, name string, codes ...string) {
	t.Helper()
	person := p.Known[name]
	person.Recovery = account.Recovery{}
	for _, code := range codes {
		hash, ok := factor.Scratch(name, code)
		if !ok {
			t.Fatalf("%q is no scratch code", code)
		}
		person.Recovery.Hashes = append(person.Recovery.Hashes, hash)
	}
	p.Known[name] = person
}

func TestScratchCodeOnce(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.Give("bob")
	p.bring(t, "alice", "12345678", "22345678")
	p.bring(t, "bob", "87654321")
	conversation := says("12345678")
	expect(t, p.login("alice", conversation), Accept, recoveryRule)
	if !slices.Contains(conversation.told, "Recovery code accepted. You have 1 left.") {
		t.Errorf("told %q", conversation.told)
	}
	again := says("12345678", "1234-5678", "87654321")
	expect(t, p.login("alice", again), TooMany, "policy.attempts.per_login")
	if !slices.Equal(again.told, []string{usedRecovery, usedRecovery, wrongCode}) {
		t.Errorf("told %q", again.told)
	}
	// Only the one that was somebody else's was a guess.
	entry, err := p.Ledger.View(t.Context(), ledger.UserKey(p.Known["alice"].User))
	if err != nil || entry.Attempts.Wrong != 1 || len(entry.UsedHashes) != 1 {
		t.Errorf("%+v, %v", entry, err)
	}
	expect(t, p.login("bob", says("8765-4321")), Accept, recoveryRule)
}

// Who brought none along is told that eight digits are no code, and no guess is
// counted.
func TestScratchFormIsForThoseWhoHaveIt(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	conversation := says("12345678", "1234-5678", p.Code(t, "alice", 0))
	expect(t, p.login("alice", conversation), Accept, "totp:phone")
	if !slices.Equal(conversation.told[:2], []string{noCode, noCode}) {
		t.Errorf("told %q", conversation.told)
	}
}

// A guess at a scratch code is a guess as any other.
func TestScratchGuessesAreLimited(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.bring(t, "alice", "12345678")
	for range p.Config.Policy.Attempts.PerWindow {
		p.login("alice", says("99999999"))
	}
	expect(t, p.login("alice", says("12345678")), TooMany, "policy.attempts.per_window")
}

// Behind a password a scratch code has its dash: a password that ends in digits
// must not lose them to one that nobody typed.
func TestSplitOfScratchCodes(t *testing.T) {
	p := newFixture(t)
	p.Give("alice")
	p.bring(t, "alice", "12345678")
	for text, want := range map[string]int{
		"secret1234-5678":                  9,
		"secret9999-9999":                  9, // right or wrong is for later
		"secret12345678":                   6,
		"secret11" + p.Code(t, "alice", 0): 6,
		"secret1234-567":                   0,
		"1234-5678":                        0,
		"secret0123-4567-89ab-cdef":        0, // none of that kind
	} {
		if n, _, err := p.split("alice", text); n != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
	p.Give("bob")
	if n, f, err := p.split("bob", "secret1234-5678"); n != 0 || err != nil || slices.Contains(f.asked, factor.ScratchLength) {
		t.Errorf("somebody without: %d, %v, asked for %v", n, err, f.asked)
	}
}
