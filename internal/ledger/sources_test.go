package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Addresses from which nothing wrong has come for two days are forgotten, and no other
// record is.
func TestForgetSources(t *testing.T) {
	f, err := OpenFiles(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 3, 14, 2, 0, 0, time.UTC)
	wrong := func(key Key, ago time.Duration, change func(*Entry)) {
		t.Helper()
		err := f.Update(t.Context(), key, func(entry *Entry) error {
			entry.Attempts = Attempts{Wrong: 3, LastWrong: now.Add(-ago)}
			if change != nil {
				change(entry)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	of := func(name string) Key { return Key{Kind: Source, Name: name} }
	wrong(of("192.0.2.1"), SourceKept, nil)
	wrong(of("192.0.2.2"), SourceKept-time.Second, nil)
	wrong(of("192.0.2.3"), SourceKept, func(entry *Entry) { entry.Attempts.LockedUntil = now.Add(time.Second) })
	wrong(of("192.0.2.4"), SourceKept, func(entry *Entry) {
		entry.Peers = map[string]Peer{"uid 1000": {Attempts: Attempts{Wrong: 1, LastWrong: now.Add(-time.Hour)}}}
	})
	wrong(of("192.0.2.5"), -time.Hour, nil) // the clock was set back
	wrong(UserKey("alice"), 2*SourceKept, nil)
	wrong(Key{Kind: Client, Name: "web1"}, 2*SourceKept, nil)
	wrong(of("192.0.2.6"), SourceKept, nil)
	if err := os.WriteFile(filepath.Join(f.dir, "sources", "192.0.2.6"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	looked := 0
	if err := f.ForgetPast(t.Context(), now, func(context.Context) error { looked++; return nil }); err != nil || looked != 6 {
		t.Errorf("after %d looks: %v", looked, err)
	}
	var left []string
	if err := f.Each(t.Context(), func(name string, _ error) error { left = append(left, name); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []string{"clients/web1", "sources/192.0.2.2", "sources/192.0.2.3", "sources/192.0.2.4", "sources/192.0.2.5", "sources/192.0.2.6", "users/alice"}
	if slices.Sort(left); !slices.Equal(left, want) {
		t.Errorf("%q are left, expected %q", left, want)
	}
}

// A wrong code that comes at the same moment is counted.
func TestForgetSourcesBesideWrongCodes(t *testing.T) {
	f, err := OpenFiles(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	key := Key{Kind: Source, Name: "192.0.2.1"}
	now := time.Date(2026, 5, 3, 14, 2, 0, 0, time.UTC)
	count := func(at time.Time) {
		err := f.Update(t.Context(), key, func(entry *Entry) error {
			entry.Attempts.Wrong, entry.Attempts.LastWrong = entry.Attempts.Wrong+1, at
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for range 200 {
		count(now.Add(-2 * SourceKept))
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := f.ForgetPast(t.Context(), now, func(context.Context) error { return nil }); err != nil {
				t.Error(err)
			}
		}()
		count(now)
		<-done
		if entry, err := f.View(t.Context(), key); err != nil || !entry.Attempts.LastWrong.Equal(now) {
			t.Fatalf("%+v, %v", entry, err)
		}
	}
}

// Stopped on the way, the record is whole, a wrong code goes on counting in it, and the
// next time it is forgotten.
func TestForgetSourcesStops(t *testing.T) {
	f, err := OpenFiles(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	key := Key{Kind: Source, Name: "192.0.2.1"}
	now := time.Date(2026, 5, 3, 14, 2, 0, 0, time.UTC)
	wrong := func(entry *Entry) error {
		entry.Attempts = Attempts{Wrong: entry.Attempts.Wrong + 1, LastWrong: now.Add(-SourceKept)}
		return nil
	}
	if err := f.Update(t.Context(), key, wrong); err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("power cut")
	f.SetFault(func(step string) error {
		if step == "emptied" {
			return stopped
		}
		return nil
	})
	unpaused := func(context.Context) error { return nil }
	if err := f.ForgetPast(t.Context(), now, unpaused); !errors.Is(err, stopped) {
		t.Errorf("got %v, want %v", err, stopped)
	}
	f.SetFault(func(string) error { return nil })
	if err := f.Update(t.Context(), key, wrong); err != nil {
		t.Fatal(err)
	}
	if entry, err := f.View(t.Context(), key); err != nil || entry.Attempts.Wrong != 2 {
		t.Errorf("%d wrong codes, expected 2, %v", entry.Attempts.Wrong, err)
	}
	if err := f.ForgetPast(t.Context(), now, unpaused); err != nil {
		t.Fatal(err)
	}
	if entry, err := f.View(t.Context(), key); err != nil || entry.Attempts.Wrong != 0 {
		t.Errorf("%d wrong codes, expected none, %v", entry.Attempts.Wrong, err)
	}
}

// What is known of links goes a day after their end, also where nothing names them.
func TestForgetLinks(t *testing.T) {
	f, err := OpenFiles(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 3, 14, 2, 0, 0, time.UTC)
	put := func(kind Kind, name string, change func(*Entry)) {
		t.Helper()
		if err := f.Update(t.Context(), Key{Kind: kind, Name: name}, func(entry *Entry) error { change(entry); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name string, ends time.Time) {
		put(Link, name, func(entry *Entry) { entry.Invitation = Invitation{User: "alice", Purpose: "enroll", Ends: ends} })
	}
	link("00", now.Add(-LinkKept))
	link("01", now.Add(time.Second-LinkKept))
	link("02", now.Add(time.Hour))
	put(Invited, "alice", func(entry *Entry) {
		entry.Links = []InvitationLink{{"00", now.Add(-LinkKept)}, {"01", now.Add(time.Second - LinkKept)}}
	})
	put(Invited, "bob", func(entry *Entry) { entry.Links = []InvitationLink{{"00", now.Add(-LinkKept)}} })
	put(Invited, "carol", func(entry *Entry) { entry.Sends = Sends{Count: 1, Last: now.Add(time.Second - LinkKept)} })
	put(Invited, "dave", func(entry *Entry) { entry.Sends = Sends{Count: 1, Last: now.Add(-LinkKept)} })
	put(User, "dave", func(entry *Entry) { entry.LastLogin = now.Add(-10 * LinkKept) })
	if err := f.ForgetPast(t.Context(), now, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := f.Each(t.Context(), func(name string, _ error) error { left = append(left, name); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []string{"invited/alice", "invited/carol", "links/01", "links/02", "users/dave"}
	if slices.Sort(left); !slices.Equal(left, want) {
		t.Errorf("%q are left, expected %q", left, want)
	}
}
