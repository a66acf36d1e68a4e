package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Whoever asks first draws the id, and all get the same, in each process and later.
func TestID(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	ids := make([]string, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			store, err := OpenFiles(dir)
			if err != nil {
				t.Error(err)
				return
			}
			if ids[i], err = store.ID(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || len(id) != 16 {
			t.Fatalf("%q", ids)
		}
	}
	other, err := OpenFiles(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := other.ID(t.Context()); err != nil || id == ids[0] {
		t.Errorf("another ledger: %q, %v", id, err)
	}
	store, err := OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "x", ids[0] + "\n", strings.ToUpper(ids[0]) + "00"} {
		if err := os.WriteFile(filepath.Join(dir, idName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := store.ID(t.Context()); err == nil {
			t.Errorf("%q: %q", text, id)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if id, err := store.ID(t.Context()); err == nil {
		t.Errorf("without its directory: %q", id)
	}
}
