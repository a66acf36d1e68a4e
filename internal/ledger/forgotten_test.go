package ledger_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

func toZero(entry *ledger.Entry) error {
	*entry = ledger.Entry{}
	return nil
}

// There would be a file of each link for ever. What is known of anybody else's logins
// stays a file, as its blocks are then there on a full disk.
func TestRecordOfALinkGoes(t *testing.T) {
	for kind, want := range map[ledger.Kind]string{
		ledger.User: "users", ledger.Source: "sources", ledger.Client: "clients", ledger.BreakGlass: "break-glass",
		ledger.Link: "links", ledger.Invited: "invited",
	} {
		dir := t.TempDir()
		store, key := newStore(t, dir), ledger.Key{Kind: kind, Name: "0123"}
		update(t, store, key, addOne)
		if got := list(t, filepath.Join(dir, want)); !slices.Equal(got, []string{"0123"}) {
			t.Errorf("kind %d: %v", kind, got)
		}
		update(t, store, key, toZero)
		goes := kind == ledger.Link || kind == ledger.Invited
		if got := list(t, filepath.Join(dir, want)); (len(got) == 0) != goes {
			t.Errorf("kind %d: %v is left", kind, got)
		}
	}
}

// Whatever stops it on the way, the entry is the zero one, and the next change counts.
func TestForgettingStops(t *testing.T) {
	dir := t.TempDir()
	store, key := newStore(t, dir), ledger.Key{Kind: ledger.Link, Name: "0123"}
	update(t, store, key, addOne)
	stopped := errors.New("power cut")
	store.SetFault(func(step string) error {
		if step == "emptied" {
			return stopped
		}
		return nil
	})
	if err := store.Update(t.Context(), key, toZero); !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
	if got := list(t, filepath.Join(dir, "links")); !slices.Equal(got, []string{"0123"}) {
		t.Errorf("%v is left", got)
	}
	again := newStore(t, dir)
	if entry, err := again.View(t.Context(), key); err != nil || !reflect.DeepEqual(entry, ledger.Entry{}) {
		t.Errorf("%+v, %v", entry, err)
	}
	update(t, again, key, addOne)
	if got := wrong(t, again, key); got != 1 {
		t.Errorf("%d wrong codes, expected 1", got)
	}
}

func TestLastEnd(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	hours := func(n int) time.Time { return at.Add(time.Duration(n) * time.Hour) }
	for _, test := range []struct {
		entry ledger.Entry
		want  time.Time
	}{
		{ledger.Entry{}, time.Time{}},
		{ledger.Entry{Invitation: ledger.Invitation{Ends: at}}, at},
		{ledger.Entry{Links: []ledger.InvitationLink{{Ends: at}, {Ends: hours(2)}, {Ends: hours(1)}}}, hours(2)},
	} {
		if got := test.entry.LastEnd(); !got.Equal(test.want) {
			t.Errorf("%+v: %v, want %v", test.entry, got, test.want)
		}
	}
}
