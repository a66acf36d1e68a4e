package main

import (
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/wire"
)

// A server of verifier.allow that was taken over, and whoever asks in his own
// name, begin no grace but for themselves: it would be over when the person comes.
func TestGraceOverTheSocket(t *testing.T) {
	r := newRig(t, "[policy]\nrequire = [\"@all\"]\ngrace = \"14d\"\n[verifier]\nallow = [\"daemon\"]\n", unhurried)
	store, err := ledger.OpenFiles(r.dir + "/state")
	if err != nil {
		t.Fatal(err)
	}
	// The second entry is for names that the system of this machine does not know.
	begun := func() (begun bool) {
		for _, name := range []string{"alice", "~strangers"} {
			entry, err := store.View(t.Context(), ledger.Key{Kind: ledger.User, Name: name})
			if err != nil {
				t.Fatal(err)
			}
			begun = begun || !entry.Grace.IsZero() || len(entry.Used) > 0
		}
		return begun
	}
	for _, row := range []struct {
		uid  int
		want bool
	}{{daemonUID, false}, {alicesUID, false}, {rootUID, true}} {
		if verdict, told, err := dialAs(t, row.uid, r.socket).login(r.start("alice")); err != nil || verdict != wire.Ignore {
			t.Errorf("uid %d: %v, %q, %v", row.uid, verdict, told, err)
		}
		if found := begun(); found != row.want {
			t.Errorf("after uid %d: begun %v", row.uid, found)
		}
	}
	_ = r.log.take(t, 3)
}
