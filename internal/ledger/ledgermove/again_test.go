package ledgermove

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// stopped runs a move up to a step, which is none of single entries.
func (s *site) stopped(t *testing.T, step string) {
	t.Helper()
	m := s.move()
	m.at = func(now string) {
		if now == step {
			panic(step)
		}
	}
	defer func() {
		if recover() != step {
			t.Fatalf("not stopped at %q", step)
		}
	}()
	_, err := m.Run(t.Context())
	t.Fatal("not stopped:", err)
}

func (s *site) undo(t *testing.T) {
	t.Helper()
	if _, err := s.move().Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// copied copies the ledger in files, and gives back what puts the copy in its place.
func (s *site) copied(t *testing.T) (restore func()) {
	t.Helper()
	run := func(args ...string) {
		t.Helper()
		if output, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
	older := s.dir + ".older"
	run("cp", "-a", s.dir, older)
	return func() {
		t.Helper()
		run("rm", "-r", s.dir)
		run("mv", older, s.dir)
	}
}

// What lies in the directory may be an older copy of what was moved: nothing of it is
// moved over what is known by now.
func TestOlderCopy(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	for name, before := range map[string]func(t *testing.T, s *site){
		"with the id": func(t *testing.T, s *site) {
			if _, err := s.files.ID(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"of a move that was taken back": func(t *testing.T, s *site) {
			s.stopped(t, "all taken")
			s.undo(t)
		},
		"of half a move": func(t *testing.T, s *site) { s.stopped(t, "begun") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, cluster)
			s.people(t, 3)
			before(t, s)
			restore := s.copied(t)
			if _, begun, err := ledger.ReadMoved(s.dir); err != nil {
				t.Fatal(err)
			} else if begun {
				s.undo(t)
			}
			if err := login(s.files, "user0", 2); err != nil {
				t.Fatal(err)
			}
			s.run(t)
			restore()
			if err := s.restarted("user0", 2); err == nil || errors.Is(err, errUsed) {
				t.Errorf("the files count beside etcd: %v", err)
			}
			_, err := s.move().Run(t.Context())
			if _, ok := errors.AsType[OlderError](err); !ok || !strings.Contains(err.Error(), s.dir) {
				t.Errorf("moved again: %v", err)
			}
			if err := login(s.shared, "user0", 2); !errors.Is(err, errUsed) {
				t.Errorf("a used code: %v", err)
			}
			if err := os.RemoveAll(s.dir + "/users"); err != nil {
				t.Fatal(err)
			}
			if result := s.run(t); !result.Done || result.Entries != 0 {
				t.Errorf("taken away: %+v", result)
			}
			if err := s.restarted("user0", 2); !errors.Is(err, errUsed) {
				t.Errorf("taken away: %v", err)
			}
			if err := login(s.files, "user0", 2); !isMoved(err) {
				t.Errorf("taken away: %v", err)
			}
		})
	}
}

// A copy from the middle of a move that went on is not taken back, as its ledger counts
// elsewhere: neither what was taken by then nor the rest of it.
func TestUndoOfACopy(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	for _, step := range []string{"begun", "all taken"} {
		s := newSite(t, cluster)
		s.people(t, 3)
		s.stopped(t, step)
		restore := s.copied(t)
		s.run(t)
		if err := s.restarted("user0", 2); err != nil {
			t.Fatal(err)
		}
		restore()
		if _, err := s.move().Undo(t.Context()); !errors.As(err, new(EndedError)) {
			t.Errorf("%s: taken back: %v", step, err)
		}
		if err := login(s.files, "user0", 2); !isMoved(err) {
			t.Errorf("%s: a used code in the copy: %v", step, err)
		}
		_, err := s.move().Run(t.Context())
		if _, older := errors.AsType[OlderError](err); older != (step == "begun") || !older && err != nil {
			t.Errorf("%s: gone on: %v", step, err)
		}
		if err := login(s.shared, "user0", 2); !errors.Is(err, errUsed) {
			t.Errorf("%s: a used code: %v", step, err)
		}
	}
}

// Where there are no entries it is noted that there will not be any.
func TestNothingToMove(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	s := newSite(t, cluster)
	s.people(t, 1)
	s.run(t)
	second := *s
	second.dir += ".second"
	if result := second.run(t); !result.Done || result.Entries != 0 {
		t.Errorf("%+v", result)
	}
	if _, err := ledger.OpenFiles(second.dir); !isMoved(err) {
		t.Errorf("files beside etcd: %v", err)
	}
	if err := second.restarted("user0", 1); !errors.Is(err, errUsed) {
		t.Errorf("a used code: %v", err)
	}
}

// A move that was killed between its last two steps ends when it is run again. It is not
// taken back then. If it is, as etcd cannot be asked, the files count, and are not moved
// there any more.
func TestKilledBeforeTheEnd(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	s := newSite(t, cluster)
	s.people(t, 3)
	s.stopped(t, "ended")
	if _, err := s.move().Undo(t.Context()); !errors.As(err, new(EndedError)) {
		t.Errorf("taken back: %v", err)
	}
	alone := s.move()
	alone.To = nil
	if _, err := alone.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := login(s.files, "user0", 2); err != nil {
		t.Errorf("taken back: %v", err)
	}
	if _, err := s.move().Run(t.Context()); !errors.As(err, new(OlderError)) || !strings.Contains(err.Error(), "another prefix") {
		t.Errorf("moved there again: %v", err)
	}
	s = newSite(t, cluster)
	s.people(t, 3)
	s.stopped(t, "ended")
	if result := s.run(t); !result.Done || result.Copied != 0 || result.Before != 3 {
		t.Errorf("%+v", result)
	}
	if err := errors.Join(s.restarted("user0", 2), s.restarted("new", 1)); err != nil {
		t.Error(err)
	}
}

// What a move copied, and what the files forgot once it was taken back, is forgotten by
// the next move too: links that ended, and people whose entry was emptied or taken away.
func TestForgottenInBetween(t *testing.T) {
	s := newSite(t, etcdtest.Start(t, 1))
	ends := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	gone := []ledger.Key{{Kind: ledger.Link, Name: "00ff"}, {Kind: ledger.Invited, Name: "bob"}, ledger.UserKey("bob"), ledger.UserKey("carol"), ledger.UserKey(long)}
	kept, used := ledger.UserKey("dave"), ledger.UserKey("erin")
	change := func(store ledger.Store, key ledger.Key, entry ledger.Entry) {
		t.Helper()
		if err := store.Update(t.Context(), key, func(now *ledger.Entry) error { *now = entry; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	known := ledger.Entry{Links: []ledger.InvitationLink{{Name: "00ff", Ends: ends}}}
	for _, key := range append(gone, kept, used) {
		change(s.files, key, known)
	}
	s.stopped(t, "all taken")
	s.undo(t)
	for _, key := range gone[:3] {
		change(s.files, key, ledger.Entry{})
	}
	for _, key := range append(gone[3:], used) {
		if err := os.Remove(filepath.Join(s.dir, ledger.RecordName(key))); err != nil {
			t.Fatal(err)
		}
	}
	change(s.shared, used, ledger.Entry{UsedHashes: []string{"x"}})
	s.run(t)
	for _, key := range append(gone, kept, used) {
		entry, err := s.shared.View(t.Context(), key)
		links, spent := 0, 0
		switch key {
		case kept:
			links = 1
		case used:
			spent = 1
		}
		if err != nil || len(entry.Links) != links || len(entry.UsedHashes) != spent {
			t.Errorf("%v: %+v, %v", key, entry, err)
		}
	}
}

// An entry that was moved is not taken for one that nobody has to move, if the file is gone
// that says where to.
func TestMovedFileGone(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	s, other := newSite(t, cluster), newSite(t, cluster)
	s.people(t, 2)
	s.run(t)
	if err := os.Remove(s.dir + "/moved"); err != nil {
		t.Fatal(err)
	}
	m := s.move()
	m.To, m.Prefix = other.shared, other.settings.Prefix
	_, err := m.Run(t.Context())
	problems, are := errors.AsType[Problems](err)
	if !are || len(problems) != 2 || !strings.Contains(err.Error(), "users/user0: ") || !strings.Contains(err.Error(), "back from a copy") {
		t.Errorf("%v", err)
	}
	if _, begun, err := ledger.ReadMoved(s.dir); begun || err != nil {
		t.Errorf("begun: %v, %v", begun, err)
	}
	// Where they were moved to that is noted again.
	if result := s.run(t); !result.Done || result.Before != 2 || result.Copied != 0 {
		t.Errorf("%+v", result)
	}
}

// A record that was not in the list, as it was replaced while that was made, is moved.
func TestMissedInTheList(t *testing.T) {
	s := newSite(t, etcdtest.Start(t, 1))
	s.people(t, 3)
	path := s.dir + "/users/user1"
	m := s.move()
	var once sync.Once
	m.at = func(step string) {
		var err error
		switch step {
		case "begun":
			err = os.Rename(path, s.dir+"/aside")
		case "taken":
			once.Do(func() { err = os.Rename(s.dir+"/aside", path) })
		}
		if err != nil {
			t.Error(err)
		}
	}
	if result, err := m.Run(t.Context()); err != nil || result.Entries != 3 || result.Copied != 3 {
		t.Errorf("%+v, %v", result, err)
	}
	if err := s.restarted("user1", 1); !errors.Is(err, errUsed) {
		t.Errorf("its used code: %v", err)
	}
}

// Whose an entry is need not be known any more once it was moved.
func TestNameForgottenHalfway(t *testing.T) {
	s := newSite(t, etcdtest.Start(t, 1))
	if err := login(s.files, long, 1); err != nil {
		t.Fatal(err)
	}
	s.stopped(t, "all taken")
	m := s.move()
	m.Names = func() ([]string, error) { return nil, nil }
	if result, err := m.Run(t.Context()); err != nil || result.Before != 1 || !result.Done {
		t.Errorf("%+v, %v", result, err)
	}
}

// Wrong codes from an address that cannot be read keep nobody's codes from being moved.
func TestUnreadableAddress(t *testing.T) {
	s := newSite(t, etcdtest.Start(t, 1))
	s.people(t, 1)
	if err := os.Mkdir(s.dir+"/sources", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.dir+"/sources/192.0.2.7", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	result := s.run(t)
	if !result.Done || result.Copied != 1 || len(result.Notes) != 1 || !strings.HasPrefix(result.Notes[0], "sources/192.0.2.7: not moved: ") {
		t.Errorf("%+v", result)
	}
}
