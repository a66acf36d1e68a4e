package ledgermove

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(killStep) != "" {
		os.Exit(dieAtStep())
	}
	os.Exit(m.Run())
}

var errUsed = errors.New("used")

// login uses up a code.
func login(store ledger.Store, name string, step int64) error {
	return store.Update(context.Background(), ledger.UserKey(name), func(entry *ledger.Entry) error {
		if entry.Used["phone"].Step >= step {
			return errUsed
		}
		entry.Used = map[string]ledger.Use{"phone": {Step: step}}
		return nil
	})
}

// site is a machine's ledger in files, and one in a real etcd.
type site struct {
	dir      string
	files    *ledger.Files // as a program has it that goes on running
	settings etcdledger.Settings
	shared   *casledger.Store
}

var ledgers atomic.Int32

func newSite(t *testing.T, cluster *etcdtest.Cluster) *site {
	t.Helper()
	s := &site{dir: filepath.Join(t.TempDir(), "state"), settings: cluster.Settings(t, "server")}
	s.settings.Prefix = fmt.Sprintf("otpgate/%d/", ledgers.Add(1))
	var err error
	if s.files, err = ledger.OpenFiles(s.dir); err == nil {
		s.shared, err = etcdledger.Open(s.settings)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.shared.Close() })
	return s
}

func (s *site) move() Move {
	return Move{
		Dir: s.dir, To: s.shared, Kind: "etcd", Prefix: s.settings.Prefix, Now: time.Now,
		Names:    func() ([]string, error) { return []string{long}, nil },
		Progress: func(string, int) func() { return func() {} },
	}
}

func (s *site) run(t *testing.T) Result {
	t.Helper()
	result, err := s.move().Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// restarted is a login in a program that was started with [ledger].
func (s *site) restarted(name string, step int64) error {
	if err := ledger.CheckLeft(s.dir, s.settings.Prefix); err != nil {
		return err
	}
	return login(s.shared, name, step)
}

func isMoved(err error) bool {
	_, ok := errors.AsType[ledger.MovedError](err)
	return ok
}

var long = strings.Repeat("ä", 60) // too long for a file's name

// people gives the site's ledger that many people, who have used the code 1.
func (s *site) people(t *testing.T, count int) (names []string) {
	t.Helper()
	for n := range count {
		names = append(names, fmt.Sprintf("user%d", n))
		if err := login(s.files, names[n], 1); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// Entries of all kinds come over as they are, but for what stays the machine's own. From
// then on they count there alone.
func TestMove(t *testing.T) {
	s := newSite(t, etcdtest.Start(t, 1))
	ends := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	rich := ledger.Entry{
		Used: map[string]ledger.Use{"phone": {Step: 7, Drift: -1, Resynced: 2}}, UsedHashes: []string{"a", "b"}, LastLogin: time.Unix(5, 0).UTC(),
		Sessions: []ledger.Session{{Protocol: "ssh", Address: "192.0.2.1", Since: time.Unix(6, 0).UTC(), Until: ends, Of: "x", Code: "y"}},
		Links:    []ledger.InvitationLink{{Name: "00ff", Ends: ends}},
	}
	keys := []ledger.Key{
		ledger.UserKey("alice"), ledger.UserKey("DOMAIN\\a/b"), ledger.UserKey(long), {Kind: ledger.Source, Name: "2001:db8::/64"}, {Kind: ledger.Client, Name: "web1"},
		{Kind: ledger.Link, Name: "00ff"}, {Kind: ledger.Invited, Name: "bob"}, {Kind: ledger.BreakGlass, Name: "root"},
	}
	for _, key := range keys {
		if err := s.files.Update(t.Context(), key, func(entry *ledger.Entry) error { *entry = rich; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	id, err := s.files.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.restarted("alice", 8); !errors.As(err, new(ledger.LeftError)) {
		t.Errorf("before the move: %v", err)
	}
	result := s.run(t)
	if result.Entries != len(keys)-1 || result.Copied != result.Entries || result.Before != 0 || result.Already || !result.Done || result.ID == id {
		t.Errorf("%+v", result)
	}
	for _, key := range keys {
		want := rich
		if key.Kind == ledger.BreakGlass {
			want = ledger.Entry{}
		}
		got, err := s.shared.View(t.Context(), key)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, %v", key, got, err)
		}
		_, err = s.files.View(t.Context(), key)
		if own := key.Kind == ledger.BreakGlass || key.Kind == ledger.Source; isMoved(err) == own {
			t.Errorf("%v in files: %v", key, err)
		}
	}
	if err := errors.Join(s.restarted("alice", 8), s.restarted("new", 1)); err != nil {
		t.Error(err)
	}
	if again := s.run(t); !again.Already || again.ID != result.ID {
		t.Errorf("again: %+v", again)
	}
	if _, err := s.move().Undo(t.Context()); !isMoved(err) {
		t.Errorf("undone after its end: %v", err)
	}
}

// Fifty logins with one code, while the ledger is moved: one gets in. Programs that have
// the old one open are refused, and then started again.
func TestFiftyLogins(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	for _, step := range []string{"compared", "begun", "copied", "taken", "all taken", "done"} {
		s := newSite(t, cluster)
		s.people(t, 3)
		var in, used atomic.Int32
		var all sync.WaitGroup
		var once sync.Once
		moved := make(chan struct{})
		begin := func() {
			for range 50 {
				all.Go(func() {
					err := login(s.files, "user1", 2)
					if isMoved(err) {
						<-moved
						err = s.restarted("user1", 2)
					}
					switch {
					case err == nil:
						in.Add(1)
					case errors.Is(err, errUsed):
						used.Add(1)
					default:
						t.Error(err)
					}
				})
			}
		}
		m := s.move()
		m.at = func(now string) {
			if now == step {
				once.Do(begin)
			}
		}
		_, err := m.Run(t.Context())
		close(moved)
		all.Wait()
		if err != nil || in.Load() != 1 || used.Load() != 49 {
			t.Errorf("%s: %d got in, %d were refused as used, expected 1 and 49; %v", step, in.Load(), used.Load(), err)
		}
	}
}

// What cannot be moved is told before anything is begun, all of it.
func TestProblems(t *testing.T) {
	s := newSite(t, etcdtest.Start(t, 1))
	s.people(t, 3)
	address := ledger.Key{Kind: ledger.Source, Name: "192.0.2.1"}
	count := func(entry *ledger.Entry) error { entry.Attempts.Wrong++; return nil }
	unknown := ledger.UserKey(strings.Repeat("ö", 60))
	raw, errOpen := etcdledger.NewCluster(s.settings)
	if errOpen != nil {
		t.Fatal(errOpen)
	}
	defer raw.Close()
	if swapped, _, err := raw.Swap(t.Context(), "users/user2", 0, []byte("no entry"), 0); err != nil || !swapped {
		t.Fatal(swapped, err)
	}
	err := errors.Join(login(s.shared, "user1", 5), s.files.Update(t.Context(), address, count), s.shared.Update(t.Context(), address, count),
		s.shared.Update(t.Context(), address, count), s.files.Update(t.Context(), unknown, count),
		os.WriteFile(s.dir+"/users/broken", []byte("no entry"), 0o600), os.WriteFile(s.dir+"/users/alice~", nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.move().Run(t.Context())
	problems, are := errors.AsType[Problems](err)
	if !are || len(problems) != 5 {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{
		"users/user1: the ledger to move to has another entry of that name; take this file away", "users/user2: in the ledger to move to: ", "; take it away there",
		"users/broken: damaged", "; have this file back from a copy, or take it away", "users/alice~: ", "users/~",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err := login(s.files, "user0", 2); err != nil {
		t.Errorf("nothing was begun: %v", err)
	}
	if entry, err := s.shared.View(t.Context(), ledger.UserKey("user0")); err != nil || entry.Used != nil {
		t.Errorf("nothing was copied: %v, %v", entry, err)
	}
	s.mend(t, raw)
	if result := s.run(t); result.Entries != 2 || result.Copied != 1 {
		t.Errorf("%+v", result)
	}
	if entry, err := s.shared.View(t.Context(), address); err != nil || entry.Attempts.Wrong != 2 {
		t.Errorf("what is known of an address: %v, %v", entry, err)
	}
	if err := s.restarted("user1", 5); !errors.Is(err, errUsed) {
		t.Errorf("the other entry counts: %v", err)
	}
}

// mend takes away what TestProblems has found: what is damaged in etcd there, the rest here.
func (s *site) mend(t *testing.T, raw casledger.Registers) {
	t.Helper()
	now, err := raw.Get(t.Context(), "users/user2")
	if err == nil {
		_, _, err = raw.Swap(t.Context(), "users/user2", now.Revision, slices.Concat([]byte{1}, make([]byte, 16)), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(s.dir + "/users/[~ab]*")
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	for _, name := range append(names, s.dir+"/users/user1", s.dir+"/users/user2") {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// With etcd gone in the middle the move can be taken back, and made again when etcd is
// there again: also of entries that were copied then and have changed since.
func TestEtcdGone(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	s := newSite(t, cluster)
	names := s.people(t, 40)
	ctx, stop := context.WithCancel(t.Context())
	m := s.move()
	var taken atomic.Int32
	m.at = func(step string) {
		if step == "taken" && taken.Add(1) == 1 {
			cluster.Members[0].Kill()
			stop() // or it would be waited for as long as it takes
		}
	}
	if _, err := m.Run(ctx); err == nil {
		t.Fatal("moved without etcd")
	}
	if err := s.restarted("user0", 2); !isMoved(err) {
		t.Errorf("half moved: %v", err)
	}
	short := s.settings
	short.Limits = casledger.LimitsOf(time.Second)
	hasty, err := etcdledger.Open(short)
	if err != nil {
		t.Fatal(err)
	}
	defer hasty.Close()
	m.To = hasty
	if _, err := m.Run(t.Context()); !errors.Is(err, ledger.ErrUnreachable) {
		t.Errorf("gone on without etcd: %v", err)
	}
	undone, err := m.Undo(t.Context())
	if err != nil || undone.Entries != len(names) || len(undone.Damaged) > 0 {
		t.Fatalf("%+v, %v", undone, err)
	}
	for _, name := range names {
		if err := login(s.files, name, 1); !errors.Is(err, errUsed) {
			t.Errorf("%s: a used code after the end of the move: %v", name, err)
		}
		if err := login(s.files, name, 2); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Undo(t.Context()); err == nil || isMoved(err) {
		t.Errorf("undone twice: %v", err)
	}
	cluster.Members[0].Start()
	cluster.Ready(t)
	if result := s.run(t); result.Entries != len(names) || result.Copied != len(names) {
		t.Errorf("%+v", result)
	}
	for _, name := range names {
		if err := s.restarted(name, 2); !errors.Is(err, errUsed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A move goes on to the ledger that it was begun to, and to no other.
func TestAnotherLedger(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	s, other := newSite(t, cluster), newSite(t, cluster)
	s.people(t, 3)
	stopped, stop := context.WithCancel(t.Context())
	m := s.move()
	m.at = func(step string) {
		if step == "begun" {
			stop()
		}
	}
	if _, err := m.Run(stopped); err == nil {
		t.Fatal("it was not stopped")
	}
	elsewhere := s.move()
	elsewhere.To, elsewhere.Prefix = other.shared, other.settings.Prefix
	for _, when := range []string{"begun", "done"} {
		if _, err := elsewhere.Run(t.Context()); !isMoved(err) || !strings.Contains(err.Error(), other.settings.Prefix) {
			t.Errorf("%s: %v", when, err)
		}
		if when == "begun" {
			s.run(t)
		}
	}
	if entry, err := other.shared.View(t.Context(), ledger.UserKey("user0")); err != nil || entry.Used != nil {
		t.Errorf("the other ledger: %v, %v", entry, err)
	}
}
