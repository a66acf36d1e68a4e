package casaccount

import (
	"strings"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// The name of a text is that of the person, behind one that all names share which differ
// from it in their cases alone. So to find those is to read a few keys, and no index can
// say something else than the files themselves.

// nameOf is where the secret file of name is.
func nameOf(name string) string { return directoryOf(name) + name }

// directoryOf is where those are whose names differ from name in their cases alone, and
// some others.
func directoryOf(name string) string {
	return casledger.TextDirectory + strings.Map(caseless, name) + "/"
}

// caseless is the same for runes that [strings.EqualFold] takes for the same, and must
// never change: by it a login finds the file. Tables of letters grow with each version of
// Unicode, so one that is not in ASCII says nothing here but that it is none.
func caseless(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r - 'A' + 'a'
	case r < 0x80:
		return r
	case r == '\u212a': // the sign for kelvin
		return 'k'
	case r == '\u017f': // the long s
		return 's'
	}
	return '*'
}
