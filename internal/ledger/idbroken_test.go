package ledger_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/testfault"
)

// Killed at each step, or on a full disk, whoever draws the id leaves a whole one or
// none, and the next one who asks gets one that stays.
func TestIDBrokenOff(t *testing.T) {
	if dir, ok := testfault.Child(t); ok {
		fmt.Println(newStore(t, dir).ID(t.Context()))
		return
	}
	for _, fault := range append(testfault.Steps, testfault.Full) {
		if fault.Name == "mkdir" || fault.Name == "chown" {
			continue // it makes no directory
		}
		t.Run(fault.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			said, killed := fault.Run(t, dir)
			if killed != (fault.Error == 0) || !killed && !strings.Contains(said, "id of the ledger: write "+filepath.Join(dir, "id")+": ") {
				t.Errorf("killed %v: %s", killed, said)
			}
			store := newStore(t, dir)
			id, err := store.ID(t.Context())
			if err != nil || len(id) != 16 {
				t.Fatalf("%q, %v", id, err)
			}
			if again, err := newStore(t, dir).ID(t.Context()); again != id || err != nil {
				t.Errorf("%q, and then %q, %v", id, again, err)
			}
			for _, name := range list(t, dir) {
				if strings.Contains(name, "id") && name != "id" {
					t.Errorf("%s is left behind", name)
				}
			}
			if err := ledger.TryNew(t.Context(), dir); err != nil {
				t.Error(err)
			}
		})
	}
}
