package etcdledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// Each member says how it is, also to a machine that has one role in etcd alone, and
// every entry is gone through; one that does not answer is named.
func TestStatus(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	cluster.EnableAuth(t, "otpgate/1/", "server")
	store, err := etcdledger.Open(cluster.Settings(t, "server"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if id, err := store.KnownID(t.Context()); err != nil || id != "" {
		t.Errorf("before it was asked for the id is %q, %v", id, err)
	}
	drawn, err := store.ID(t.Context())
	if id, again := store.KnownID(t.Context()); err != nil || again != nil || id != drawn {
		t.Errorf("%q, then %q, %v, %v", drawn, id, err, again)
	}
	var want []string
	for n := range 300 {
		name := fmt.Sprintf("user%03d", n)
		want = append(want, "users/"+name)
		if err := store.Update(t.Context(), ledger.UserKey(name), func(e *ledger.Entry) error { e.LastLogin = time.Unix(1, 0); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	err = store.Each(t.Context(), func(name string, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("found %d entries, %v", len(names), err)
	}
	status, err := store.Status(t.Context())
	if err != nil || status.Size != 3 || len(status.Members) != 3 || status.Prefix != "otpgate/1/" {
		t.Fatalf("%+v, %v", status, err)
	}
	leaders := 0
	for i, m := range status.Members {
		if m.Leader {
			leaders++
		}
		if m.URL != cluster.Members[i].URL || !strings.HasPrefix(m.Version, "3.") || m.Bytes <= 0 || m.Quota != 2<<30 || len(m.Alarms) > 0 || m.Clock.IsZero() || !m.Certificate.After(time.Now()) || m.Problem != "" {
			t.Errorf("%+v", m)
		}
	}
	if leaders != 1 {
		t.Errorf("%d members lead", leaders)
	}
	cluster.Members[1].Kill()
	if status, err = store.Status(t.Context()); err != nil || status.Members[1].Problem == "" || status.Members[1].Version != "" || status.Members[0].Version == "" {
		t.Errorf("one is gone: %+v, %v", status, err)
	}
}

// Values that are no entries are named with what is wrong, and the others are gone
// through all the same. An alarm is said.
func TestEachNamesTheBroken(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	store, err := etcdledger.Open(cluster.Settings(t, "server"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, key := range []string{"sources/192.0.2.1", "users/bob"} {
		cluster.Etcdctl(t, "put", "otpgate/1/"+key, "no entry at all")
	}
	cluster.Etcdctl(t, "put", "otpgate/1/accounts/alice", "of a newer version")
	cluster.Etcdctl(t, "put", "otpgate/10/users/carol", "of another prefix")
	if err := store.Update(t.Context(), ledger.UserKey("alice"), func(e *ledger.Entry) error { e.LastLogin = time.Unix(1, 0); return nil }); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err = store.Each(t.Context(), func(name string, err error) error {
		found[name] = fmt.Sprint(err)
		return nil
	})
	if err != nil || len(found) != 4 || found["users/alice"] != "<nil>" || !strings.Contains(found["users/bob"], "a value of 15 bytes") ||
		!strings.Contains(found["sources/192.0.2.1"], "a value of 15 bytes") || !strings.Contains(found["accounts/alice"], "no key of the ledger's") {
		t.Errorf("%q, %v", found, err)
	}
}
