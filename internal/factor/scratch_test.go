package factor

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// with is a person who brought these scratch codes along.
func with(t *testing.T, user string, codes ...string) account.Person {
	t.Helper()
	person := account.Person{User: user}
	for _, code := range codes {
		hash, ok := Scratch(user, code)
		if !ok {
			t.Fatalf("%q is no scratch code", code)
		}
		person.Recovery.Hashes = append(person.Recovery.Hashes, hash)
	}
	return person
}

func TestScratchOnce(t *testing.T) {
	alice, bob := with(t, "alice", "12345678", "87654321"), with(t, "bob", "11111111")
	bob.Recovery.Hashes = append(bob.Recovery.Hashes, alice.Recovery.Hashes...)
	hash := alice.Recovery.Hashes[0]
	var entry ledger.Entry
	for _, spelling := range []string{
		"", "1234567", "123456789", "12345678 ", " 12345678", "+12345678", "1234 5678", "123-45678", "12345-678", "1234-56789",
		"1234--5678", "-12345678", "12345678-", "1234–5678", "１２３４５６７８", "12345679", hash, strings.TrimPrefix(hash, account.ScratchPrefix),
	} {
		if got := VerifyRecovery(alice, spelling, &entry); got != Wrong {
			t.Errorf("%q: %v", spelling, got)
		}
	}
	if got := VerifyRecovery(bob, "12345678", &entry); got != Wrong || len(entry.UsedHashes) > 0 {
		t.Errorf("somebody else's code: %v", got)
	}
	for code, want := range map[string]Outcome{"12345678": Right, "8765-4321": Right} {
		if got := VerifyRecovery(alice, code, &entry); got != want {
			t.Errorf("%q: %v", code, got)
		}
	}
	for _, spelling := range []string{"12345678", "1234-5678", "87654321", "8765-4321"} {
		if got := VerifyRecovery(alice, spelling, &entry); got != Used {
			t.Errorf("%q again: %v", spelling, got)
		}
	}
	if left := RecoveryLeft(alice, entry); left != 0 || len(entry.UsedHashes) != 2 {
		t.Errorf("%d left, %d spent", left, len(entry.UsedHashes))
	}
	// Brought along again, they are still spent.
	if got := VerifyRecovery(with(t, "alice", "12345678"), "12345678", &entry); got != Used {
		t.Errorf("brought along again: %v", got)
	}
}

// Both kinds of recovery codes live side by side.
func TestScratchBesideRecovery(t *testing.T) {
	alice := with(t, "alice", "12345678")
	codes, made := NewRecovery("alice")
	if IsRecoveryOf(account.Person{User: "alice", Recovery: made}, "12345678") || HasScratch(account.Person{Recovery: made}) {
		t.Error("eight digits are a form for somebody who brought none along")
	}
	if HasOwnRecovery(alice) || !IsRecoveryOf(alice, "12345678") || !IsRecoveryOf(alice, "1234-5678") {
		t.Error("what was brought along is not told from what was made here")
	}
	alice.Recovery.Hashes = append(alice.Recovery.Hashes, made.Hashes...)
	var entry ledger.Entry
	for _, code := range []string{codes[0], "12345678"} {
		if got := VerifyRecovery(alice, code, &entry); got != Right {
			t.Errorf("%q: %v", code, got)
		}
	}
	if left := RecoveryLeft(alice, entry); left != RecoveryCodes-1 {
		t.Errorf("%d left", left)
	}
}

func TestScratchFormOnly(t *testing.T) {
	for _, code := range []string{"", "1234567", "123456789", "12-345678", "abcdefgh"} {
		if hash, ok := Scratch("alice", code); ok || hash != "" {
			t.Errorf("%q has the hash %q", code, hash)
		}
	}
}
