package casaccount_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/account/accounttest"
	"github.com/otpgate/otpgate/internal/account/casaccount"
	"github.com/otpgate/otpgate/internal/keyring"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/ledger/ledgersocket"
)

// at names a store for the suite, also to other processes: by settings of etcd's, or by
// another program's socket.
type at struct {
	etcdledger.Settings
	Socket string
}

func (a at) ledger() (*casledger.Store, error) {
	if a.Socket != "" {
		return casledger.New(ledgersocket.Client{Path: a.Socket}, a.Limits), nil
	}
	return etcdledger.Open(a.Settings)
}

// closing closes the ledger with the store.
type closing struct {
	account.Store
	ledger *casledger.Store
}

func (c closing) Close() error { return errors.Join(c.Store.Close(), c.ledger.Close()) }

func (a at) open(keys ...string) (account.Store, error) {
	shared, err := a.ledger()
	if err != nil {
		return nil, err
	}
	return closing{casaccount.New(account.Place{Keys: keyring.New(keys...)}, shared, a.Prefix), shared}, nil
}

func openAddress(address string, keys ...string) (account.Store, error) {
	var a at
	if err := json.Unmarshal([]byte(address), &a); err != nil {
		return nil, err
	}
	return a.open(keys...)
}

func TestMain(m *testing.M) {
	if os.Getenv(killStep) != "" {
		os.Exit(dieAtStep())
	}
	os.Exit(accounttest.Main(m, openAddress))
}

func TestOneMember(t *testing.T) { keepsThePromises(t, 1, false) }

func TestThreeMembers(t *testing.T) { keepsThePromises(t, 3, false) }

// Through otpgate-ledgerd's socket, as programs have it.
func TestThroughTheSocket(t *testing.T) { keepsThePromises(t, 1, true) }

func keepsThePromises(t *testing.T, members int, socket bool) {
	settings := etcdtest.Start(t, members).Settings(t, "server")
	var stores atomic.Int32
	accounttest.Run(t, func(t *testing.T) string {
		fresh := at{Settings: settings}
		fresh.Prefix = fmt.Sprintf("otpgate/%d/", stores.Add(1))
		if socket {
			fresh.Socket = serve(t, fresh.Settings)
		}
		address, err := json.Marshal(fresh)
		if err != nil {
			t.Fatal(err)
		}
		return string(address)
	}, openAddress)
}

// serve answers at a socket, and returns its path.
func serve(t *testing.T, settings etcdledger.Settings) string {
	t.Helper()
	cluster, err := etcdledger.NewCluster(settings)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { _ = ledgersocket.Answer(conn.(ledgersocket.Conn), cluster) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
		_ = cluster.Close()
	})
	return path
}

func newKey(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	_, data := keyring.NewFile()
	if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(dir+"/key", data, 0o400)); err != nil {
		t.Fatal(err)
	}
	return dir + "/key"
}

func open(t *testing.T, settings etcdledger.Settings, keys ...string) account.Store {
	t.Helper()
	store, err := at{Settings: settings}.open(keys...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

var secret = account.Secret("a secret of tests 20")

func phone(p *account.Person) error {
	p.Factors = append(p.Factors, account.Factor{
		ID: "phone", Kind: account.TOTP, Secret: secret, Digits: 6, Period: 30, Algorithm: "SHA1",
		Confirmed: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	})
	return nil
}

func email(address string) func(*account.Person) error {
	return func(p *account.Person) error { p.Email = address; return nil }
}

// Nothing by which somebody could log in reaches etcd without being encrypted: no secret,
// not where no key is there or cannot be read, and no code that its hash tells.
func TestNothingPlain(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	settings := cluster.Settings(t, "server")
	key := newKey(t)
	scratch := func(p *account.Person) error {
		p.Recovery.Hashes = []string{account.ScratchPrefix + strings.Repeat("0a", 32)}
		return nil
	}
	for _, keys := range [][]string{nil, {key + "-gone"}} {
		if err := open(t, settings, keys...).Change("alice", phone); err == nil {
			t.Errorf("stored with the keys %q", keys)
		}
	}
	store := open(t, settings, key)
	if err := store.Change("alice", scratch); !errors.Is(err, account.ErrPlain) {
		t.Errorf("a scratch code: %v", err)
	}
	if text := cluster.Etcdctl(t, "get", "", "--prefix"); text != "" {
		t.Errorf("etcd has %q", text)
	}
	if err := store.Change("alice", phone); err != nil {
		t.Fatal(err)
	}
	done, err := store.Rewrite([]string{"alice"}, account.DecryptAll, false)
	if err != nil || len(done) != 1 || done[0].Err == nil || done[0].Changed != 0 {
		t.Errorf("decrypted: %v, %v", done, err)
	}
	text := cluster.Etcdctl(t, "get", "", "--prefix")
	if !strings.Contains(text, "user = 'alice'") || strings.Contains(text, secret.Base32()) {
		t.Errorf("etcd has %q", text)
	}
}

// A secret that somebody planted in etcd without encrypting it counts for nothing.
func TestPlanted(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	store := open(t, cluster.Settings(t, "server"), newKey(t))
	planted := "\x01" + strings.Repeat("m", 16) + "version = 1\nuser = 'alice'\n[[factor]]\nid = 'phone'\nkind = 'totp'\nsecret = '" + secret.Base32() + "'\nconfirmed = 2026-11-22T10:00:00Z\n"
	cluster.Etcdctl(t, "put", "otpgate/1/people/alice/alice", planted)
	person, err := store.Load("alice")
	if err != nil || person.Unreadable() == nil || len(person.Factors[0].Secret) > 0 || !person.Enrolled() {
		t.Errorf("%v, %v", err, person.Unreadable())
	}
	if err := store.Change("alice", email("alice@example.com")); !errors.Is(err, account.ErrPlain) {
		t.Errorf("written again: %v", err)
	}
}

// A value that is damaged is an error of that person alone, and can be removed.
func TestDamaged(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	store := open(t, cluster.Settings(t, "server"), newKey(t))
	for _, value := range []string{"x", "\x02" + strings.Repeat("m", 16) + "of a newer version", "\x01" + strings.Repeat("m", 16) + "no TOML"} {
		cluster.Etcdctl(t, "put", "otpgate/1/people/alice/alice", value)
		if err := store.Change("bob", phone); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{load(store, "alice"), store.Change("alice", phone)} {
			if err == nil || errors.Is(err, account.ErrNotFound) || !strings.Contains(err.Error(), "people/alice/alice") {
				t.Errorf("%q: %v", value, err)
			}
		}
		if names, err := store.Names(); err != nil || len(names) != 2 {
			t.Errorf("%q, %v", names, err)
		}
		if like, err := store.Like("ALICE"); err != nil || len(like) != 1 {
			t.Errorf("%q, %v", like, err)
		}
		if err := errors.Join(store.Remove("alice"), store.Remove("bob")); err != nil || !errors.Is(load(store, "alice"), account.ErrNotFound) {
			t.Errorf("removed: %v", err)
		}
	}
}

func load(store account.Store, name string) error {
	_, err := store.Load(name)
	return err
}
