package remote

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// What was used is told from what is good, and nothing is made by looking.
func TestCodesThatWereUsed(t *testing.T) {
	settings := config.Default()
	dir := t.TempDir()
	settings.Paths.BreakGlass, settings.Paths.State = filepath.Join(dir, "break-glass"), filepath.Join(dir, "state")
	codes, kept := breakglass.New("root", time.Now())
	if err := breakglass.Save(settings.Paths.BreakGlass, kept); err != nil {
		t.Fatal(err)
	}
	ids := func() (found []string) {
		e := exam{Exam: Exam{Settings: settings}}
		e.breakGlass(t.Context())
		for _, f := range e.findings {
			found = append(found, f.Severity.String()+": "+f.ID)
		}
		return found
	}
	if found := ids(); len(found) != 0 {
		t.Errorf("new codes: %q", found)
	}
	if _, err := os.Stat(settings.Paths.State); !os.IsNotExist(err) {
		t.Errorf("a look made the ledger: %v", err)
	}
	store, err := ledger.OpenFiles(settings.Paths.State)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	use := func(codes ...string) {
		err := store.Update(t.Context(), breakglass.Key("root"), func(entry *ledger.Entry) error {
			for _, code := range codes {
				kept.Verify(code, entry)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	use(codes[0])
	if found := ids(); len(found) != 1 || found[0] != "note: break-glass-used" {
		t.Errorf("after one: %q", found)
	}
	use(codes[1:]...)
	if found := ids(); len(found) != 2 || found[0] != "warning: break-glass-used" || found[1] != "warning: no-break-glass" {
		t.Errorf("after all: %q", found)
	}
}
