package casaccount_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/account/casaccount"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// server is a machine whose people are moved.
type server struct {
	Users    string
	Key      string
	Settings etcdledger.Settings
}

// newServer has that many people, whose secrets are encrypted.
func newServer(t *testing.T, settings etcdledger.Settings, key string, people ...string) *server {
	t.Helper()
	s := &server{Users: filepath.Join(t.TempDir(), "users"), Key: key, Settings: settings}
	s.enroll(t, people...)
	return s
}

func (s *server) place() account.Place {
	return account.Place{Path: s.Users, Keys: keyring.New(s.Key), Required: true, Away: true}
}

// enroll gives people a file in the directory, by a program with a configuration of before.
func (s *server) enroll(t *testing.T, people ...string) {
	t.Helper()
	dir, err := account.Place{Path: s.Users, Keys: keyring.New(s.Key)}.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, name := range people {
		if err := dir.Change(name, phone); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *server) move(at func(step string)) (casaccount.Moved, error) {
	shared, err := etcdledger.Open(s.Settings)
	if err != nil {
		return casaccount.Moved{}, err
	}
	defer shared.Close()
	move := casaccount.Move{From: s.place(), Ledger: shared, Prefix: s.Settings.Prefix, Progress: func(string, int) func() { return func() {} }}
	move.At(at)
	return move.Run()
}

func (s *server) moved(t *testing.T) casaccount.Moved {
	t.Helper()
	moved, err := s.move(nil)
	if err != nil {
		t.Fatal(err)
	}
	return moved
}

// store is what logins have on this server.
func (s *server) store(t *testing.T) account.Store {
	t.Helper()
	shared, err := etcdledger.Open(s.Settings)
	if err != nil {
		t.Fatal(err)
	}
	place := s.place()
	place.Former = s.Users
	store := casaccount.New(place, shared, s.Settings.Prefix)
	t.Cleanup(func() { _ = closing{store, shared}.Close() })
	return store
}

// stands is what a login finds: enrolled, left behind, or nobody.
func stands(t *testing.T, store account.Store, name string) string {
	t.Helper()
	switch person, err := store.Load(name); {
	case err == nil && person.Unreadable() == nil && person.Enrolled():
		return "enrolled"
	case errors.Is(err, account.ErrLeft):
		return "left"
	case errors.Is(err, account.ErrForgotten):
		return "forgotten"
	case errors.Is(err, account.ErrNotFound):
		return "nobody"
	default:
		t.Errorf("%s: %v", name, err)
		return "?"
	}
}

var three = []string{"alice", "bob", "Ünal"}

func TestMove(t *testing.T) {
	s := newServer(t, etcdtest.Start(t, 1).Settings(t, "server"), newKey(t), three...)
	store := s.store(t)
	for _, name := range three {
		if got := stands(t, store, name); got != "left" {
			t.Errorf("%s is %s", name, got)
		}
		if err := store.Change(name, email("x@example.com")); !errors.Is(err, account.ErrLeft) {
			t.Errorf("changed before the move: %v", err)
		}
	}
	if _, err := store.Like("ALICE"); !errors.Is(err, account.ErrLeft) {
		t.Errorf("in another case: %v", err)
	}
	texts := map[string]string{}
	for _, name := range three {
		text, err := os.ReadFile(s.Users + "/" + name + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	if moved := s.moved(t); moved.People != 3 || moved.Copied != 3 {
		t.Errorf("%+v", moved)
	}
	for _, name := range three {
		text, err := store.Text(name)
		if err != nil || string(text) != texts[name] || stands(t, store, name) != "enrolled" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if like, err := store.Like("ALICE"); err != nil || !slices.Equal(like, []string{"alice"}) {
		t.Errorf("%q, %v", like, err)
	}
	s.denies(t)
	if again := s.moved(t); again.People != 0 {
		t.Errorf("again: %+v", again)
	}
	if err := store.Remove("alice"); err != nil || stands(t, store, "alice") != "nobody" {
		t.Errorf("removed: %v", err)
	}
}

// denies expects that a program with a configuration of before takes nobody for somebody
// who has not enrolled.
func (s *server) denies(t *testing.T) {
	t.Helper()
	dir, err := s.place().Create()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	_, loaded := dir.Load("alice")
	_, listed := dir.Names()
	_, alike := dir.Like("ALICE")
	for _, err := range []error{loaded, listed, alike, dir.Change("alice", phone)} {
		if !errors.As(err, new(account.MovedError)) || errors.Is(err, account.ErrNotFound) {
			t.Errorf("in the directory of before: %v", err)
		}
	}
}

// Of a server with a copy of the files nothing is left to copy, and who is only there comes
// along. Whoever has another file, or was removed, is named, and then nothing is begun.
func TestMoveOfAnotherServer(t *testing.T) {
	settings, key := etcdtest.Start(t, 1).Settings(t, "server"), newKey(t)
	first := newServer(t, settings, key, three...)
	second := newServer(t, settings, key)
	if output, err := exec.Command("cp", "-a", first.Users+"/.", second.Users).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	second.enroll(t, "carol")
	first.moved(t)
	store := second.store(t)
	if err := errors.Join(store.Change("bob", email("bob@example.com")), store.Remove("Ünal")); err != nil {
		t.Fatal(err)
	}
	plain, err := account.Create(second.Users)
	if err == nil {
		err = errors.Join(plain.Change("dave", phone), plain.Close(), os.WriteFile(second.Users+"/erin.toml", []byte("version = 1\n"), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.move(nil)
	problems, are := errors.AsType[casaccount.Problems](err)
	if !are || len(problems) != 4 {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{
		second.Users + "/bob.toml: etcd:otpgate/1/people/bob/bob: there is another one", "Ünal: the one of that name was removed there; take this file away",
		"dave.toml", "otpctl secrets encrypt", "erin.toml",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if stands(t, store, "carol") != "left" {
		t.Error("something was begun")
	}
	for _, name := range []string{"bob", "Ünal", "dave", "erin"} {
		if err := os.Remove(second.Users + "/" + name + ".toml"); err != nil {
			t.Fatal(err)
		}
	}
	if moved := second.moved(t); moved.People != 2 || moved.Copied != 1 || stands(t, store, "carol") != "enrolled" {
		t.Errorf("%+v", moved)
	}
	if person, err := store.Load("bob"); err != nil || person.Email != "bob@example.com" {
		t.Errorf("bob: %+v, %v", person, err)
	}
	// A copy of the files that comes back is no reason to take anybody over again.
	second.restore(t, "alice", "carol")
	if moved := second.moved(t); moved.People != 2 || moved.Copied != 0 {
		t.Errorf("a copy: %+v", moved)
	}
}

// Of whom etcd knows nothing any more, as a snapshot of before the move was restored, does
// not pass for somebody who never enrolled, in whatever case the name is written, and is
// moved again once the file has its name back. Who was removed is not forgotten, ever: the
// file that another server still has does not bring them back.
func TestForgotten(t *testing.T) {
	cluster, key := etcdtest.Start(t, 1), newKey(t)
	s := newServer(t, cluster.Settings(t, "server"), key, three...)
	other := newServer(t, cluster.Settings(t, "other"), key, "carol")
	copyOf(t, s, other, "bob")
	s.moved(t)
	store := s.store(t)
	if err := store.Remove("bob"); err != nil {
		t.Fatal(err)
	}
	if leases := cluster.Etcdctl(t, "lease", "list"); !strings.HasPrefix(leases, "found 0 leases") {
		t.Errorf("who was removed is forgotten some day: %s", leases)
	}
	if _, err := other.move(nil); err == nil || !strings.Contains(err.Error(), "was removed there") {
		t.Errorf("moved who was removed: %v", err)
	}
	cluster.Etcdctl(t, "del", "otpgate/1/people/alice/alice")
	if got := stands(t, store, "alice"); got != "forgotten" {
		t.Errorf("alice is %s", got)
	}
	if _, err := store.Like("ALICE"); !errors.Is(err, account.ErrForgotten) {
		t.Errorf("in another case: %v", err)
	}
	if err := store.Change("alice", phone); !errors.Is(err, account.ErrForgotten) {
		t.Errorf("changed: %v", err)
	}
	if like, err := store.Like("BOB"); err != nil || len(like) > 0 || stands(t, store, "bob") != "nobody" {
		t.Errorf("who was removed: %q, %v", like, err)
	}
	s.restore(t, "alice")
	s.moved(t)
	if got := stands(t, store, "alice"); got != "enrolled" {
		t.Errorf("moved again: alice is %s", got)
	}
}

// copyOf gives another server a copy of somebody's file.
func copyOf(t *testing.T, s, other *server, name string) {
	t.Helper()
	text, err := os.ReadFile(s.Users + "/" + name + ".toml")
	if err == nil {
		err = os.WriteFile(other.Users+"/"+name+".toml", text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// restore puts files back from where they were put aside.
func (s *server) restore(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Rename(s.Users+"/"+name+".toml.moved", s.Users+"/"+name+".toml"); err != nil {
			t.Fatal(err)
		}
	}
}

// Where etcd cannot be asked nothing is begun.
func TestMoveWithoutEtcd(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	settings := cluster.Settings(t, "server")
	s := newServer(t, settings, newKey(t), three...)
	s.Settings.Limits.All, s.Settings.Limits.Try = settings.Limits.Try/10, settings.Limits.Try/30
	cluster.Members[0].Kill()
	if _, err := s.move(nil); err == nil {
		t.Error("moved without etcd")
	}
	if left, err := (account.Place{Former: s.Users}).Left(); err != nil || len(left) != 3 {
		t.Errorf("%q, %v", left, err)
	}
}

// The environment of a process that is to die at a step of a move.
const (
	killStep   = "CASACCOUNT_KILL_STEP"
	killServer = "CASACCOUNT_KILL_SERVER"
)

func dieAtStep() int {
	var s server
	err := json.Unmarshal([]byte(os.Getenv(killServer)), &s)
	if err == nil {
		var reached atomic.Int32
		_, err = s.move(func(step string) {
			if step == os.Getenv(killStep) && reached.Add(1) == 1 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		})
	}
	fmt.Println("not killed:", err)
	return 1
}

// Wherever a move is killed, everybody is enrolled or denied as left behind, nobody passes
// for somebody who never enrolled, and the move goes on when it is run again.
func TestMoveKilledAtEveryStep(t *testing.T) {
	cluster, key := etcdtest.Start(t, 1), newKey(t)
	for n, step := range []string{"compared", "noted", "read", "written", "put away"} {
		t.Run(step, func(t *testing.T) {
			settings := cluster.Settings(t, "server")
			settings.Prefix = fmt.Sprintf("otpgate/%d/", n+1)
			s := newServer(t, settings, key, three...)
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), killStep+"="+step, killServer+"="+string(text))
			output, err := cmd.CombinedOutput()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%v: %s", err, output)
			}
			store := s.store(t)
			for _, name := range three {
				if got := stands(t, store, name); got != "left" && got != "enrolled" {
					t.Errorf("%s is %s", name, got)
				}
			}
			s.moved(t)
			s.denies(t)
			for _, name := range three {
				if got := stands(t, store, name); got != "enrolled" {
					t.Errorf("%s is %s", name, got)
				}
			}
			if left, err := (account.Place{Former: s.Users}).Left(); err != nil || len(left) > 0 {
				t.Errorf("%q, %v", left, err)
			}
		})
	}
}
