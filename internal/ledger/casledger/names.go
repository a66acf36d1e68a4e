package casledger

import (
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// registerOf is where the entry of a key is. The name comes last and as it is, so no
// two keys share a register.
func registerOf(key ledger.Key) string {
	return kinds[key.Kind].directory + "/" + key.Name
}

var kinds = map[ledger.Kind]struct {
	directory string
	keep      time.Duration
}{
	ledger.User:       {"users", 0},
	ledger.Source:     {"sources", sourceKept},
	ledger.Client:     {"clients", 0},
	ledger.BreakGlass: {"break-glass", 0},
}

// sourceKept is how long the wrong codes from an address are known after the last
// one. No lock is longer than a day, and within another one the next lock is longer.
// Whoever has many addresses would otherwise leave an entry of each for ever.
const sourceKept = 48 * time.Hour

func keepOf(kind ledger.Kind) time.Duration { return kinds[kind].keep }
