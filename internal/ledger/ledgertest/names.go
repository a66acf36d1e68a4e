package ledgertest

import (
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
)

var names = []string{
	"alice", "Alice", "ALICE", "alice ", " alice", "alice.", ".alice", "-alice",
	"..", ".", "../alice", "../../etc/passwd", "/etc/passwd", "a/b", "a//b", "a%2Fb", "a%2fb", "%", "%25", "~", "~alice",
	".new-alice", "DOMAIN\\user", "user@example.com", "a\x00b", "a", "\x00", "\n", "\x1b[2J", "\x7f",
	"é", "e\u0301", "\xe9", "\xff\xfe", "名前", "10.0.0.1", "10.0.0.0/8", "2001:db8::1", "*", "$HOME", "`id`",
	strings.Repeat("a", 240), strings.Repeat("a", 241), strings.Repeat("a", 255),
	strings.Repeat("/", 80), strings.Repeat("/", 81), strings.Repeat("/", 255),
	strings.Repeat("/", 254) + "a", strings.Repeat("\x00", 255), strings.Repeat("名", 85),
}

var kinds = []ledger.Kind{ledger.User, ledger.Source, ledger.Client, ledger.BreakGlass, ledger.Link, ledger.Invited}

// oddNames gives every name a value of its own before it looks at any, so
// that two that share an entry are found.
func oddNames(t *testing.T, s suite) {
	store := s.store(t)
	var keys []ledger.Key
	for _, name := range names {
		for _, kind := range kinds {
			keys = append(keys, ledger.Key{Kind: kind, Name: name})
		}
	}
	for i, key := range keys {
		mustUpdate(t, store, key, func(entry *ledger.Entry) error {
			if entry.Attempts.Wrong != 0 {
				t.Errorf("%v shares the entry of %v", key, keys[entry.Attempts.Wrong-1])
			}
			entry.Attempts.Wrong = i + 1
			return nil
		})
	}
	again := s.store(t)
	for i, key := range keys {
		wantWrong(t, again, key, i+1)
	}
}

func refusedKeys(t *testing.T, s suite) {
	store := s.store(t)
	for _, key := range []ledger.Key{
		{Kind: ledger.User, Name: ""},
		{Kind: ledger.Source, Name: ""},
		{Kind: ledger.User, Name: strings.Repeat("a", 256)},
		{Kind: 0, Name: "alice"},
		{Kind: 77, Name: "alice"},
	} {
		if _, err := store.View(t.Context(), key); err == nil {
			t.Errorf("view of %v succeeds", key)
		}
		if err := store.Update(t.Context(), key, add); err == nil {
			t.Errorf("update of %v succeeds", key)
		}
	}
}
