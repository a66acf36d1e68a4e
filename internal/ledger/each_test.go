package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every entry is gone through, and what is none is named. The id is not drawn by
// whoever only looks.
func TestEach(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	files, err := OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []Key{UserKey("alice"), UserKey("bob"), {Kind: Source, Name: "192.0.2.1"}, {Kind: BreakGlass, Name: "root"}} {
		if err := files.Update(t.Context(), key, func(e *Entry) error { e.LastLogin = time.Unix(1, 0); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/users/bob", []byte("no entry"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/users/.new-carol", []byte("being made"), 0o600); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err = files.Each(t.Context(), func(name string, err error) error {
		found[name] = fmt.Sprint(err)
		return nil
	})
	if err != nil || len(found) != 4 || found["users/alice"] != "<nil>" || found["sources/192.0.2.1"] != "<nil>" || found["break-glass/root"] != "<nil>" || !strings.Contains(found["users/bob"], "damaged") {
		t.Errorf("%q, %v", found, err)
	}
	if id, err := files.KnownID(t.Context()); id != "" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	drawn, err := files.ID(t.Context())
	if id, again := files.KnownID(t.Context()); id != drawn || err != nil || again != nil {
		t.Errorf("%q, then %q, %v, %v", drawn, id, err, again)
	}
}
