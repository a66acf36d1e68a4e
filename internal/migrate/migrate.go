// Package migrate reads the files of other modules for one-time codes, to bring
// people along with their keys, counters and unused codes.
//
// The entry points are [GoogleAuthenticator] and [Oath], one for each format, and
// [Tokens] for those that package tokenfile reads.
// They only read text that was handed to them, write nothing, and promise that
// a code which the text shows as used counts as used in what they return; where
// the text does not say, everything that may have been used does. No error or
// remark quotes a key or a code.
package migrate

import (
	"errors"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/admin"
)

// Person is what a file says about one person.
type Person struct {
	admin.Imported
	// Lines are where in the file, counted from 1, or Entries if it has no lines.
	Lines, Entries []int
	// Err says why nobody can be brought along.
	Err error
	// Remarks are what the admin should know.
	Remarks []string
	// Window is how many steps either way, or codes ahead, were right before.
	Window Window
}

// Window is how far from the expected one a code was right before, 0 if the
// file does not say.
type Window struct{ Steps, Codes int }

// The longest files that are looked at, in bytes: google-authenticator refuses
// its own over 64 KiB, and a file for all has a line for each.
const (
	MaxOwn    = 64 << 10
	MaxShared = 32 << 20
)

// maxSteps is how many steps ahead of now a code may be that was used: the
// widest window that google-authenticator takes.
const maxSteps = 100

var errSecret = errors.New("expected a key in base32 in the first line")

// newApp makes an authenticator app. All of these modules compute with SHA-1.
func newApp(id string, secret account.Secret, digits, period int) account.Factor {
	return account.Factor{ID: id, Kind: account.TOTP, Secret: secret, Digits: digits, Period: period, Algorithm: "SHA1"}
}

func newToken(id string, secret account.Secret, digits int, counter int64) account.Factor {
	return account.Factor{ID: id, Kind: account.HOTP, Secret: secret, Digits: digits, Counter: counter, Algorithm: "SHA1"}
}

// stepOf is the number of the time step that at is in.
func stepOf(at time.Time, period int) int64 { return at.Unix() / int64(period) }
