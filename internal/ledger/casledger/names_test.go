package casledger

import (
	"math"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// Each kind of key that a ledger takes has a directory of its own here too.
func TestEachKindHasItsDirectory(t *testing.T) {
	seen := map[string]ledger.Kind{movedDirectory: 0}
	for kind := range ledger.Kind(math.MaxUint8) {
		if ledger.CheckKey(ledger.Key{Kind: kind, Name: "alice"}) != nil {
			continue
		}
		directory := kinds[kind].directory
		key := ledger.Key{Kind: kind, Name: "a/b"}
		if again, known := keyOf(registerOf(key)); !known || again != key {
			t.Errorf("%v, %v, expected %v", again, known, key)
		}
		if other, ok := seen[directory]; ok || directory == "" {
			t.Errorf("kind %d has the directory %q, as kind %d", kind, directory, other)
		}
		seen[directory] = kind
	}
	if len(seen) < 5 {
		t.Errorf("found only %v", seen)
	}
}

// What is known of a link lasts for a day longer than the link, also where it was
// invited long ago, and is in few leases.
func TestLinksAreKeptUntilTheirEnd(t *testing.T) {
	m := &memory{values: map[string]Register{}}
	store := testStore(m)
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	store.now = func() time.Time { return now }
	kept := func(key ledger.Key, change func(*ledger.Entry)) time.Duration {
		t.Helper()
		if err := store.Update(t.Context(), key, func(e *ledger.Entry) error { e.Attempts.Wrong++; change(e); return nil }); err != nil {
			t.Fatal(err)
		}
		return m.keeps[len(m.keeps)-1]
	}
	link, person := ledger.Key{Kind: ledger.Link, Name: "0123"}, ledger.Key{Kind: ledger.Invited, Name: "alice"}
	for left, want := range map[time.Duration]time.Duration{
		time.Hour: 2 * day, 3 * day: 5 * day, 3*day - time.Second: 4 * day, 30 * day: 32 * day, -time.Hour: 2 * day,
	} {
		if got := kept(link, func(e *ledger.Entry) { e.Invitation.Ends = now.Add(left) }); got != want {
			t.Errorf("a link that ends in %v is kept for %v, expected %v", left, got, want)
		}
		got := kept(person, func(e *ledger.Entry) {
			e.Links = []ledger.InvitationLink{{Name: "1", Ends: now}, {Name: "2", Ends: now.Add(left)}, {Name: "3"}}
		})
		if got != want {
			t.Errorf("a person's links, of which the last ends in %v, are kept for %v, expected %v", left, got, want)
		}
	}
	if got := kept(link, func(e *ledger.Entry) { *e = ledger.Entry{} }); got != 2*day {
		t.Errorf("a link that is forgotten is kept for %v, expected %v", got, 2*day)
	}
	for key, want := range map[ledger.Key]time.Duration{
		{Kind: ledger.User, Name: "alice"}: 0, {Kind: ledger.Client, Name: "web1"}: 0,
		{Kind: ledger.BreakGlass, Name: "alice"}: 0, {Kind: ledger.Source, Name: "192.0.2.1"}: ledger.SourceKept,
	} {
		if got := kept(key, func(*ledger.Entry) {}); got != want {
			t.Errorf("%v is kept for %v, expected %v", key, got, want)
		}
	}
}
