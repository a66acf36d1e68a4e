package factor

import (
	"errors"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// What a resynchronisation can end with. Nothing has changed then.
var (
	ErrNoForm   = errors.New("expected two codes of exactly the digits that the device shows")
	ErrNowhere  = errors.New("the two codes do not follow each other anywhere within reach")
	ErrSeveral  = errors.New("the two codes follow each other at more than one place")
	ErrOld      = errors.New("the two codes are not newer than the last one that was used")
	ErrNoResync = errors.New("codes of this kind are sent; there is nothing to resynchronise")
)

// How far a resynchronisation looks: a day each way for clocks, and so many
// codes ahead for tokens.
const (
	resyncTime  = 24 * time.Hour
	resyncAhead = 1000
)

// search is where two codes are looked for.
type search struct {
	matches  func(place int64) bool // whether the pair stands at place and the next
	from, to int64                  // places, without to itself
	fresh    int64                  // the first place that is not used
	use      func(place int64) ledger.Use
}

// Resync finds where a device is by two codes that it shows one after the
// other, and marks both as used in entry. It returns how many steps the clock
// is ahead (or, negative, behind) or how many codes the token had been ahead.
//
// Of two places neither is believed: the wrong one would lock the person out,
// and with six digits a second one turns up in six of a thousand million
// searches, so that asking for the next two codes costs nothing.
//
// What was used stays used: a pair counts only if its first code is later than
// the last that was accepted.
func Resync(user string, f account.Factor, first, second string, now time.Time, entry *ledger.Entry) (ahead int, err error) {
	if f.Kind.IsSent() {
		return 0, ErrNoResync
	}
	if !IsCode(f, first) || !IsCode(f, second) {
		return 0, ErrNoForm
	}
	var where search
	var ok bool
	switch f.Kind {
	case account.TOTP:
		where, ok = TOTP{User: user, Factor: f}.resync(first, second, now, *entry)
	case account.HOTP:
		where, ok = HOTP{User: user, Factor: f}.resync(first, second, *entry)
	}
	if !ok {
		return 0, ErrNowhere
	}
	place, err := where.find()
	if err != nil {
		return 0, err
	}
	use := where.use(place)
	mark(entry, Fingerprint(user, f), use)
	if f.Kind == account.HOTP {
		return int(place - where.fresh), nil
	}
	return use.Drift, nil
}

func (s search) find() (place int64, err error) {
	found := 0
	for at := max(0, s.from); at < s.to; at++ {
		if s.matches(at) {
			place = at
			found++
		}
	}
	switch {
	case found == 0:
		return 0, ErrNowhere
	case found > 1:
		return 0, ErrSeveral
	case place < s.fresh:
		return 0, ErrOld
	}
	return place, nil
}
