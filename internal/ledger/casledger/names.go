package casledger

import (
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// registerOf is where the entry of a key is. The name comes last and as it is, so no
// two keys share a register.
func registerOf(key ledger.Key) string {
	return kinds[key.Kind].directory + "/" + key.Name
}

// keyOf is the key whose entry is in a register.
func keyOf(register string) (key ledger.Key, known bool) {
	directory, name, _ := strings.Cut(register, "/")
	for kind, one := range kinds {
		if one.directory == directory {
			key = ledger.Key{Kind: kind, Name: name}
			return key, ledger.CheckKey(key) == nil
		}
	}
	return ledger.Key{}, false
}

// movedDirectory is where the registers are that name ledgers which were moved here.
const movedDirectory = "moved"

var kinds = map[ledger.Kind]struct {
	directory string
	// keep is how long an entry is known once it is stored, nil for ever.
	keep func(entry ledger.Entry, now time.Time) time.Duration
}{
	ledger.User:       {"users", nil},
	ledger.Source:     {"sources", func(ledger.Entry, time.Time) time.Duration { return ledger.SourceKept }},
	ledger.Client:     {"clients", nil},
	ledger.BreakGlass: {"break-glass", nil},
	ledger.Link:       {"links", untilEnd},
	ledger.Invited:    {"invited", untilEnd},
}

const day = 24 * time.Hour

// untilEnd keeps links until a day after their end, so that whoever opens one is told
// what became of it. It gives whole days, so that there are few different leases.
func untilEnd(entry ledger.Entry, now time.Time) time.Duration {
	left := max(0, entry.LastEnd().Sub(now))
	return left.Truncate(day) + 2*day
}

func keepOf(kind ledger.Kind, entry ledger.Entry, now time.Time) time.Duration {
	if keep := kinds[kind].keep; keep != nil {
		return keep(entry, now)
	}
	return 0
}
