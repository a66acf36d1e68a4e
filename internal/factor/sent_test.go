package factor

import (
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

func TestNewSent(t *testing.T) {
	settings := config.Sent{Length: 12, Alphabet: "abcdefghjk"} // so many that none comes twice
	seen := map[string]bool{}
	used := map[rune]bool{}
	for range 1000 {
		code := NewSent(settings)
		if !IsSent(settings, code) || seen[code] {
			t.Fatalf("code %q, seen before: %v", code, seen[code])
		}
		seen[code] = true
		for _, r := range code {
			used[r] = true
		}
	}
	if len(used) != len(settings.Alphabet) {
		t.Errorf("only %d of %d characters are used", len(used), len(settings.Alphabet))
	}
	for _, text := range []string{"", "abcdefghjka", "abcdefghjkabc", "abcdefghjkaB", "abcdefghjka "} {
		if IsSent(settings, text) {
			t.Errorf("%q passes as a code", text)
		}
	}
}

// A carried code is good once, for its purpose, its person and its time.
func TestCarried(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	fresh := func() ledger.Entry {
		var entry ledger.Entry
		AddCarried(&entry, Carry("alice", "ftp", "123456", now.Add(time.Minute)), now)
		return entry
	}
	for _, test := range []struct {
		name, user, purpose, code string
		after                     time.Duration
		want                      Outcome
	}{
		{"right", "alice", "ftp", "123456", 0, Right},
		{"wrong", "alice", "ftp", "123457", 0, Wrong},
		{"other purpose", "alice", "sudo", "123456", 0, Wrong},
		{"other person", "bob", "ftp", "123456", 0, Wrong},
		{"just in time", "alice", "ftp", "123456", time.Minute - 1, Right},
		{"too late", "alice", "ftp", "123456", time.Minute, Wrong},
		{"with a space", "alice", "ftp", "123456 ", 0, Wrong},
		{"empty", "alice", "ftp", "", 0, Wrong},
	} {
		entry := fresh()
		if got := VerifyCarried(test.user, test.purpose, test.code, now.Add(test.after), &entry); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
		if again := VerifyCarried(test.user, test.purpose, test.code, now.Add(test.after), &entry); again != Wrong {
			t.Errorf("%s: a second time %v", test.name, again)
		}
	}
	entry := fresh()
	if hash := entry.Carried[0].Hash; VerifyCarried("alice", "ftp", hash, now, &entry) != Wrong || strings.Contains(hash, "123456") {
		t.Error("the hash is a code")
	}
}

func TestCarriedIsBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var entry ledger.Entry
	for i := range 3 * maxCarried {
		AddCarried(&entry, Carry("alice", "ftp", string(rune('a'+i)), now.Add(time.Minute)), now)
	}
	if len(entry.Carried) != maxCarried {
		t.Errorf("%d codes wait", len(entry.Carried))
	}
	if VerifyCarried("alice", "ftp", "a", now, &entry) == Right || VerifyCarried("alice", "ftp", string(rune('a'+3*maxCarried-1)), now, &entry) != Right {
		t.Error("expected the newest to be kept")
	}
	AddCarried(&entry, Carry("alice", "ftp", "x", now.Add(time.Minute)), now)
	AddCarried(&entry, Carry("alice", "ftp", "y", now.Add(2*time.Minute)), now.Add(time.Minute))
	if len(entry.Carried) != 1 {
		t.Errorf("%d codes wait, expected that those which are over are gone", len(entry.Carried))
	}
}
