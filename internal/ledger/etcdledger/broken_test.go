package etcdledger_test

import (
	"context"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
)

// A certificate that was revoked is good for no new connection, and others are.
func TestRevoked(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Run(t, etcdtest.Config{Members: 1, Revokes: true})
	stolen, other := cluster.Settings(t, "server1"), cluster.Settings(t, "server2")
	kept := open(t, stolen)
	if err := login(kept, "alice", 1); err != nil {
		t.Fatal(err)
	}
	cluster.Revoke(t, stolen.CertificateFile)
	wantDenied(t, stolen, 2, "does not take this machine's certificate")
	if err := login(kept, "alice", 2); err != nil {
		t.Errorf("on the connection that it had: %v; docs/ledger.md says otherwise", err)
	}
	if err := login(open(t, other), "alice", 3); err != nil {
		t.Error(err)
	}
}

// A server whose user an admin deletes is out at once, also on the connection that it has.
func TestUserDeleted(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, 1)
	cluster.EnableAuth(t, "otpgate/1/", "server1", "server2")
	stolen, other := cluster.Settings(t, "server1"), cluster.Settings(t, "server2")
	kept := open(t, stolen)
	if err := login(kept, "alice", 1); err != nil {
		t.Fatal(err)
	}
	cluster.Etcdctl(t, "user", "delete", "server1")
	const may = "may not read and write the prefix"
	if err := login(kept, "alice", 2); err == nil || !saysAll(err, []string{may}) {
		t.Errorf("on the old connection: %v", err)
	}
	wantDenied(t, stolen, 2, may)
	if err := login(open(t, other), "alice", 2); err != nil {
		t.Error(err)
	}
}

// A role that may read only lets nobody in: the use of a code cannot be stored.
func TestReadOnlyRole(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, 1)
	cluster.EnableAuth(t, "otpgate/1/", "server")
	cluster.Etcdctl(t, "role", "add", "reader")
	cluster.Etcdctl(t, "role", "grant-permission", "reader", "read", "otpgate/1/", "--prefix=true")
	cluster.Etcdctl(t, "user", "add", "watcher", "--no-password")
	cluster.Etcdctl(t, "user", "grant-role", "watcher", "reader")
	store := open(t, cluster.Settings(t, "watcher"))
	if err := login(store, "alice", 1); err == nil || !saysAll(err, []string{"may not read and write the prefix"}) {
		t.Errorf("%v", err)
	}
	status, err := store.Status(t.Context())
	if err != nil || status.Refused == "" || status.Unguarded {
		t.Errorf("%+v, %v", status, err)
	}
}

// Etcd says whether this machine may use the ledger, and whether it may read the rest
// too: with users switched off everybody may.
func TestRights(t *testing.T) {
	t.Parallel()
	cluster := etcdtest.Start(t, 3)
	cluster.Etcdctl(t, "user", "add", "idle", "--no-password")
	cluster.EnableAuth(t, "otpgate/1/", "server")
	server, idle, root := open(t, cluster.Settings(t, "server")), open(t, cluster.Settings(t, "idle")), open(t, cluster.Settings(t, "root"))
	if err := login(server, "alice", 1); err != nil {
		t.Fatal(err)
	}
	expect := func(what string, store *casledger.Store, refused, unguarded bool) {
		t.Helper()
		status, err := store.Status(t.Context())
		if err != nil || (status.Refused != "") != refused || status.Unguarded != unguarded {
			t.Errorf("%s: refused %q, unguarded %v, %v", what, status.Refused, status.Unguarded, err)
		}
	}
	expect("with its role", server, false, false)
	expect("without a role", idle, true, false)
	expect("as root", root, false, true)
	cluster.Members[0].Kill()
	expect("with its role, one member gone", server, false, false)
	cluster.Members[0].Start()
	cluster.Ready(t)
	cluster.Etcdctl(t, "auth", "disable")
	expect("users switched off", idle, false, true)
	if err := login(server, "alice", 1); err != errUsed {
		t.Errorf("used before users were switched off: %v", err)
	}
	cluster.Etcdctl(t, "auth", "enable")
	expect("users switched on again", idle, true, false)
	if err := login(server, "alice", 2); err != nil {
		t.Error(err)
	}
}

// A member whose disk is full ends, and logins go on at the others. Where it is the only
// one they are denied, and the error names it.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, members := range []int{3, 1} {
		// It notices when it stores a snapshot, or needs room for its log.
		cluster := etcdtest.Run(t, etcdtest.Config{Members: members, Small: true, Options: []string{"--snapshot-count=10"}})
		settings := cluster.Settings(t, "server")
		store := open(t, settings)
		if err := login(store, "alice", 1); err != nil {
			t.Fatal(err)
		}
		cluster.FillDisk(t)
		last := cluster.Members[members-1]
		alone, end := context.WithCancel(t.Context()) // the last login has nobody to wait for
		ended := last.Ended()
		go func() { <-ended; end() }()
		step := int64(2)
		for ; alone.Err() == nil; step++ {
			if members == 1 {
				_ = store.Update(alone, ledger.UserKey("alice"), use(step))
			} else if err := login(store, "alice", step); err != nil {
				t.Errorf("code %d: %v", step, err)
			}
		}
		if members == 1 {
			wantDenied(t, settings, step, last.URL+": ")
			continue
		}
		if err := login(store, "alice", step); err != nil {
			t.Error(err)
		}
		status, err := store.Status(t.Context())
		if err != nil || status.Members[members-1].Problem == "" {
			t.Errorf("%+v, %v", status, err)
		}
	}
}
