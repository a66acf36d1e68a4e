package etcdledger_test

import (
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// A machine is what its certificate says, and may do what that user may.
func TestUsers(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	cluster.Etcdctl(t, "user", "add", "idle", "--no-password")
	cluster.EnableAuth(t, "otpgate/1/", "server")
	server := cluster.Settings(t, "server")
	store := open(t, server)
	if err := login(store, "alice", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := store.ID(t.Context()); err != nil {
		t.Error(err)
	}
	// An address's entry has a lease.
	address := ledger.Key{Kind: ledger.Source, Name: "192.0.2.1"}
	if err := store.Update(t.Context(), address, func(e *ledger.Entry) error { e.Attempts.Wrong++; return nil }); err != nil {
		t.Error(err)
	}
	const may = "may not read and write the prefix"
	wantDenied(t, cluster.Settings(t, "stranger"), 2, may)
	wantDenied(t, cluster.Settings(t, "idle"), 2, may)
	elsewhere := server
	elsewhere.Prefix = "otpgate/2/"
	wantDenied(t, elsewhere, 2, may)
	if err := login(store, "alice", 2); err != nil {
		t.Error(err)
	}
}

// Both ends must be known, and known still.
func TestCertificates(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	good := cluster.Settings(t, "server")
	other := etcdtest.NewAuthority(t, t.TempDir())

	strangers := good
	strangers.CertificateFile, strangers.KeyFile = other.Issue(t, etcdtest.Certificate{Name: "server"})
	wantDenied(t, strangers, 1, "does not take this machine's certificate")

	unknown := good
	unknown.CAFile = other.File
	wantDenied(t, unknown, 1, "certificate signed by unknown authority")

	elsewhere := good
	elsewhere.Endpoints = []string{notNamed(t, cluster.Authority)}
	wantDenied(t, elsewhere, 1, "certificate is valid for", "not 127.255.255.254")

	missing := good
	missing.CAFile = t.TempDir() + "/none.pem"
	wantDenied(t, missing, 1, "none.pem")

	ended := good
	ended.CertificateFile, ended.KeyFile = cluster.Authority.Issue(t, etcdtest.Certificate{Name: "server", Ended: true})
	wantDenied(t, ended, 1, ended.CertificateFile+": the certificate is good from")

	// A renewed one counts without a restart.
	store := open(t, ended)
	soon := make(chan error)
	go func() { soon <- login(store, "alice", 1) }()
	for _, pair := range [][2]string{{good.KeyFile, ended.KeyFile}, {good.CertificateFile, ended.CertificateFile}} {
		if err := os.Rename(pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-soon; err != nil {
		t.Error(err)
	}
}

// notNamed is the URL of a server whose certificate is the authority's, and does not name
// the address.
func notNamed(t *testing.T, authority *etcdtest.Authority) string {
	t.Helper()
	certificate, key := authority.Issue(t, etcdtest.Certificate{Name: "member"})
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.255.255.254:0", &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // it is the client that refuses
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return "https://" + listener.Addr().String()
}

// A full etcd takes no change, so it lets nobody in; what there is can be looked at.
func TestFull(t *testing.T) {
	cluster := etcdtest.Start(t, 1, "--quota-backend-bytes", "1000000")
	store := open(t, cluster.Settings(t, "server"))
	if err := login(store, "alice", 1); err != nil {
		t.Fatal(err)
	}
	var err error
	for n := 0; err == nil; n++ {
		err = store.Update(t.Context(), ledger.UserKey("bob"), func(e *ledger.Entry) error {
			e.UsedHashes = []string{strings.Repeat("x", 60_000-n)}
			return nil
		})
	}
	for _, err := range []error{err, login(store, "alice", 2)} {
		if errors.Is(err, casledger.ErrUnavailable) || !strings.Contains(err.Error(), "etcd is full") {
			t.Errorf("%v", err)
		}
	}
	entry, err := store.View(t.Context(), ledger.UserKey("alice"))
	if err != nil || entry.Used["phone"].Step != 1 {
		t.Errorf("%+v, %v", entry, err)
	}
}

// What is known of an address is forgotten by itself, what is known of a person not.
func TestLeases(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	store := open(t, cluster.Settings(t, "server"))
	count := func() {
		t.Helper()
		for _, key := range []ledger.Key{{Kind: ledger.Source, Name: "192.0.2.1"}, {Kind: ledger.Source, Name: "192.0.2.2"}, {Kind: ledger.User, Name: "alice"}, {Kind: ledger.Client, Name: "web1"}} {
			if err := store.Update(t.Context(), key, func(e *ledger.Entry) error { e.Attempts.Wrong++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	count()
	count()
	leases := strings.Fields(cluster.Etcdctl(t, "lease", "list", "--write-out", "simple"))
	lease := leases[len(leases)-1]
	held := cluster.Etcdctl(t, "lease", "timetolive", lease, "--keys")
	if !strings.Contains(held, "granted with TTL(176400s)") || !strings.Contains(held, "192.0.2.1") || !strings.Contains(held, "192.0.2.2") || strings.Contains(held, "alice") || strings.Contains(held, "web1") {
		t.Errorf("%v: %s", leases, held)
	}
	// A link is kept until a day after its end at the least. What is stored under another
	// lease takes nothing from the first.
	link := ledger.Key{Kind: ledger.Link, Name: "0123"}
	ends := time.Now().Add(3 * 24 * time.Hour)
	for range 2 {
		err := store.Update(t.Context(), link, func(e *ledger.Entry) error {
			e.Invitation = ledger.Invitation{User: "alice", Ends: ends}
			e.Attempts.Wrong++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		count()
	}
	if all := strings.Fields(cluster.Etcdctl(t, "lease", "list", "--write-out", "simple")); len(all) != len(leases)+1 {
		t.Errorf("leases %v, expected one more than %v", all, leases)
	}
	// It is over, or an admin revoked it: the next one gets another.
	cluster.Etcdctl(t, "lease", "revoke", lease)
	count()
	for name, want := range map[ledger.Key]int{{Kind: ledger.Source, Name: "192.0.2.1"}: 1, {Kind: ledger.User, Name: "alice"}: 5} {
		if entry, err := store.View(t.Context(), name); err != nil || entry.Attempts.Wrong != want {
			t.Errorf("%v: %+v, %v", name, entry.Attempts, err)
		}
	}
}
