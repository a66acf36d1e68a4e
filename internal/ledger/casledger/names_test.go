package casledger

import (
	"math"
	"testing"

	"github.com/otpgate/otpgate/internal/ledger"
)

// Each kind of key that a ledger takes has a directory of its own here too.
func TestEachKindHasItsDirectory(t *testing.T) {
	seen := map[string]ledger.Kind{}
	for kind := range ledger.Kind(math.MaxUint8) {
		if ledger.CheckKey(ledger.Key{Kind: kind, Name: "alice"}) != nil {
			continue
		}
		directory := kinds[kind].directory
		if other, is := seen[directory]; is || directory == "" {
			t.Errorf("kind %d has the directory %q, as kind %d", kind, directory, other)
		}
		seen[directory] = kind
	}
	if len(seen) < 4 {
		t.Errorf("found only %v", seen)
	}
}
