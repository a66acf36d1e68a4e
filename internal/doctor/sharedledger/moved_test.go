package sharedledger

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// What is to be taken away is named: those directories that have entries, and no others.
// A ledger that was moved to another place than [ledger] leads to is found.
func TestMoved(t *testing.T) {
	dir := t.TempDir()
	files, err := ledger.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []ledger.Kind{ledger.Client, ledger.User, ledger.BreakGlass, ledger.Source} {
		if err := files.Update(t.Context(), ledger.Key{Kind: kind, Name: "a"}, func(entry *ledger.Entry) error { entry.Attempts.Wrong++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir+"/links", 0o700); err != nil {
		t.Fatal(err)
	}
	settings := config.Config{Paths: config.Paths{State: dir}, Ledger: &config.Ledger{Prefix: "otpgate/1/"}}
	expect := func(id, what, fix string) {
		t.Helper()
		for _, found := range (Exam{Now: time.Now, Settings: settings}).Examine(t.Context()) {
			if found.ID == id && strings.Contains(found.What, what) && strings.HasSuffix(found.Fix, fix) {
				return
			}
		}
		t.Errorf("not found: %s", id)
	}
	expect("ledger-not-moved", "", ": rm -r "+dir+"/users "+dir+"/clients")
	move, err := ledger.OpenMove(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer move.Close()
	if err := move.Begin(ledger.Moved{To: "etcd", Prefix: "otpgate/2/", ID: "0123456789abcdef", Begun: time.Now()}); err != nil {
		t.Fatal(err)
	}
	expect("ledger-move-unfinished", "otpgate/2/", "--undo takes it back.")
	if err := move.Finish(); err != nil {
		t.Fatal(err)
	}
	expect("ledger-moved", "to etcd, otpgate/2/, and the configuration has the prefix otpgate/1/.", "Put back the prefix otpgate/2/.")
}
