package casaccount_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

const aliceKey = "people/alice/alice"

// stranger changes alice's file from another process, which does not wait for this one.
type stranger struct{ *casledger.Store }

func newStranger(t *testing.T, settings etcdledger.Settings) stranger {
	t.Helper()
	shared, err := etcdledger.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shared.Close() })
	return stranger{shared}
}

// sets has alice's file be another one, or removed.
func (s stranger) sets(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		_, revision, err := s.Text(t.Context(), aliceKey)
		if err == nil {
			err = s.SetText(t.Context(), aliceKey, []byte(text), revision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

const theirs, removed = "version = 1\nuser = 'alice'\nemail = 'theirs@example.com'\n", ""

// Whoever changes what somebody else changes meanwhile is told so, and undoes nothing.
func TestChangedMeanwhile(t *testing.T) {
	settings := etcdtest.Start(t, 1).Settings(t, "server")
	store, other := open(t, settings, newKey(t)), newStranger(t, settings)
	for _, test := range []struct {
		before, meanwhile []string
	}{
		{nil, []string{theirs}},
		{[]string{theirs}, []string{theirs}},
		{[]string{theirs}, []string{removed}},
		{[]string{theirs}, []string{removed, theirs}},
		{[]string{removed}, []string{theirs}},
		{[]string{removed}, []string{theirs, removed}},
	} {
		other.sets(t, test.before...)
		calls := 0
		err := store.Change("alice", func(p *account.Person) error {
			calls++
			other.sets(t, test.meanwhile...)
			p.Email = "mine@example.com"
			return nil
		})
		if !errors.Is(err, account.ErrChanged) || calls != 1 {
			t.Errorf("%q and then %q: %v after %d calls", test.before, test.meanwhile, err, calls)
		}
		person, err := store.Load("alice")
		if test.meanwhile[len(test.meanwhile)-1] == removed {
			if !errors.Is(err, account.ErrNotFound) {
				t.Errorf("%q and then %q: %v", test.before, test.meanwhile, err)
			}
		} else if err != nil || person.Email != "theirs@example.com" {
			t.Errorf("%q and then %q: %q, %v", test.before, test.meanwhile, person.Email, err)
		}
	}
}

// A file that somebody changes while it is renamed stays, and what they changed with it.
func TestChangedWhileRenamed(t *testing.T) {
	settings := etcdtest.Start(t, 1).Settings(t, "server")
	store, other := open(t, settings, newKey(t)), newStranger(t, settings)
	yes := func(account.Person) (bool, error) { return true, nil }
	may := func(account.Person) error { return nil }
	moved := func(*account.Person) error { return nil }
	if err := store.Change("alice", email("mine@example.com")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Rename("alice", "alicia", yes, may, func(*account.Person) error { other.sets(t, theirs); return nil }); !errors.Is(err, account.ErrChanged) {
		t.Errorf("%v", err)
	}
	if person, err := store.Load("alice"); err != nil || person.Email != "theirs@example.com" {
		t.Errorf("%q, %v", person.Email, err)
	}
	if _, err := store.Load("alicia"); !errors.Is(err, account.ErrOfAnother) {
		t.Errorf("half-way: %v", err)
	}
	if _, err := store.Rename("alice", "alicia", yes, may, moved); err != nil {
		t.Fatal(err)
	}
	if person, err := store.Load("alicia"); err != nil || person.Email != "theirs@example.com" {
		t.Errorf("%q, %v", person.Email, err)
	}
}

// Whichever byte of etcd's answers is the last one that comes, a change is made, once.
func TestCutAnswers(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	proxy := etcdtest.NewProxy(t, cluster.Members[0])
	settings := cluster.Settings(t, "server")
	settings.Endpoints = []string{proxy.URL}
	key := newKey(t)
	store, direct := open(t, settings, key), open(t, cluster.Settings(t, "other"), key)
	changes := 0
	change := func(p *account.Person) error {
		if changes > 0 && p.Email != fmt.Sprintf("n%d@example.com", changes) {
			t.Errorf("change %d finds %q", changes, p.Email)
		}
		changes++
		p.Email = fmt.Sprintf("n%d@example.com", changes)
		return nil
	}
	if err := store.Change("alice", change); err != nil {
		t.Fatal(err)
	}
	before := proxy.Passed()
	if err := store.Change("alice", change); err != nil {
		t.Fatal(err)
	}
	answers := proxy.Passed() - before
	for cut := range answers + 1 {
		proxy.CutAfter(cut)
		if err := store.Change("alice", change); err != nil {
			t.Errorf("cut after %d of %d bytes: %v", cut, answers, err)
		}
		if person, err := direct.Load("alice"); err != nil || person.Email != fmt.Sprintf("n%d@example.com", changes) {
			t.Errorf("cut after %d of %d bytes: %q, %v", cut, answers, person.Email, err)
		}
	}
}

// Without a majority nobody is told that somebody has no file, and nothing is changed.
func TestNoMajority(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	settings := cluster.Settings(t, "server")
	key := newKey(t)
	store := open(t, settings, key)
	if err := store.Change("alice", phone); err != nil {
		t.Fatal(err)
	}
	for _, member := range cluster.Members[1:] {
		member.Kill()
	}
	settings.Limits = casledger.Limits{Try: 300 * time.Millisecond, All: time.Second}
	hurried := open(t, settings, key)
	_, load := hurried.Load("alice")
	_, nobody := hurried.Load("bob")
	_, text := hurried.Text("alice")
	_, names := hurried.Names()
	_, like := hurried.Like("Alice")
	for what, err := range map[string]error{
		"load": load, "load nobody": nobody, "text": text, "names": names, "like": like,
		"change": hurried.Change("alice", func(*account.Person) error { t.Error("changed"); return nil }), "remove": hurried.Remove("alice"),
	} {
		if !errors.Is(err, ledger.ErrUnreachable) || errors.Is(err, account.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, member := range cluster.Members[1:] {
		member.Start()
	}
	cluster.Ready(t)
	if person, err := store.Load("alice"); err != nil || len(person.Factors) != 1 {
		t.Errorf("%+v, %v", person, err)
	}
}

// What is no secret file by its key is told of, and nobody's.
func TestStrays(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	settings := cluster.Settings(t, "server")
	store := open(t, settings, newKey(t))
	if err := store.Change("Alice", email("alice@example.com")); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"alice", "bob/alice", "alice/.alice", "alice/", "a/b/c"} {
		cluster.Etcdctl(t, "put", "otpgate/1/people/"+key, "x")
	}
	// One that is damaged is somebody's all the same.
	cluster.Etcdctl(t, "put", "otpgate/1/people/carol/carol", "x")
	names, strays, err := store.List()
	if err != nil || strings.Join(names, " ") != "Alice carol" || strings.Join(strays, " ") != "a/b/c alice alice/ alice/.alice bob/alice" {
		t.Errorf("%q, %q, %v", names, strays, err)
	}
	if _, err := store.Load("carol"); !errors.Is(err, ledger.ErrDamaged) || errors.Is(err, account.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if like, err := store.Like("CAROL"); err != nil || len(like) != 1 {
		t.Errorf("%q, %v", like, err)
	}
}
