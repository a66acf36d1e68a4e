package machines

import (
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/breakglass"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Nobody has guessed at new codes, so they end a lock. What was used stays used: the same
// hashes may come back.
func TestNewCodesEndALock(t *testing.T) {
	settings := config.Default()
	settings.Paths.BreakGlass, settings.Paths.State = t.TempDir(), t.TempDir()
	codes, kept := breakglass.New("root", time.Now())
	store, err := ledger.OpenFiles(settings.Paths.State)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	locked := ledger.Attempts{Wrong: 10, LockedUntil: time.Now().Add(time.Hour)}
	err = store.Update(t.Context(), breakglass.Key("root"), func(entry *ledger.Entry) error {
		kept.Verify(codes[0], entry)
		entry.Attempts, entry.Peers = locked, map[string]ledger.Peer{"uid 33": {Attempts: locked}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := keep(t.Context(), settings, kept); err != nil {
		t.Fatal(err)
	}
	entry, err := entryOf(t.Context(), settings, "root")
	if err != nil || entry.Attempts != (ledger.Attempts{}) || len(entry.Peers) > 0 || !slices.Equal(entry.UsedHashes, kept.Hashes[:1]) {
		t.Errorf("%+v, %v", entry, err)
	}
	if loaded, err := breakglass.Load(settings.Paths.BreakGlass, "root"); err != nil || loaded.Left(entry) != breakglass.Count-1 {
		t.Errorf("%+v, %v", loaded, err)
	}
}
