package factor

import (
	"crypto/subtle"
	"math"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// HOTP checks the codes of one token with a counter (RFC 4226).
type HOTP struct {
	User   string
	Factor account.Factor
	// Window is how many codes the token may have shown that were not given.
	Window int
}

// behind is how many counters back a code is at least still known as used. It
// is told to the person and counts as no wrong code.
const behind = 20

// lastCounter leaves room for looking ahead without an overflow. No token gets
// there; a ledger that says so is not believed.
const lastCounter = math.MaxInt64 - 1<<20

// Verify checks code. A right one is marked as used in entry, and with it all
// codes before it.
//
// With few digits, a code can stand at two counters within reach. Looking
// back comes first, at least as far as ahead: whoever saw a code that was
// accepted gets nowhere with it at the next counter that has the same digits,
// until all counters that were in reach with it have passed. Under that rule
// the earliest of two matches ahead is as safe as the latest, and it never
// leaves the server ahead of the token, which would refuse the person's next
// codes.
func (h HOTP) Verify(code string, entry *ledger.Entry) Outcome {
	next, ok := h.Next(*entry)
	if code = bare(h.Factor, code); !ok || !isDigits(code, h.Factor.Digits) {
		return Wrong
	}
	// All are compared, so that time says nothing about which.
	var older, found bool
	var matched int64
	for offset := -max(behind, h.Window); offset <= h.Window; offset++ {
		counter := next + int64(offset)
		if !h.hasCode(code, counter) {
			continue
		}
		if offset < 0 {
			older = true
		} else if !found {
			matched, found = counter, true
		}
	}
	switch {
	case older:
		return Used
	case !found:
		return Wrong
	}
	mark(entry, Fingerprint(h.User, h.Factor), ledger.Use{Step: matched})
	return Right
}

// Next is the first counter whose code may be right. It never goes back: a
// file that is edited or restored cannot make it less than what was used. ok is
// false where no code can be right.
func (h HOTP) Next(entry ledger.Entry) (counter int64, ok bool) {
	counter = h.Factor.Counter
	if use, known := entry.Used[Fingerprint(h.User, h.Factor)]; known {
		if use.Step < 0 || use.Step >= lastCounter {
			return 0, false
		}
		counter = max(counter, use.Step+1)
	}
	return counter, h.Factor.Kind == account.HOTP && 0 <= counter && counter < lastCounter && h.Window >= 0
}

// hasCode compares code with that of a counter.
func (h HOTP) hasCode(code string, counter int64) bool {
	want := oath(h.Factor.Secret, counter, h.Factor.Digits, h.Factor.Algorithm)
	return counter >= 0 && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1
}

// Ahead says how many codes behind the expected one a wrong code stands,
// looking up to reach of them; the nearest counts. It is for telling admins
// that a token is ahead, and accepts nothing.
func (h HOTP) Ahead(code string, reach int, entry ledger.Entry) (codes int, found bool) {
	next, ok := h.Next(entry)
	if code = bare(h.Factor, code); !ok || !isDigits(code, h.Factor.Digits) {
		return 0, false
	}
	for offset := range reach + 1 {
		if h.hasCode(code, next+int64(offset)) && !found {
			codes, found = offset, true
		}
	}
	return codes, found
}

// resync looks for two codes that follow each other, far ahead and as far
// back. See Resync.
func (h HOTP) resync(first, second string, entry ledger.Entry) (search, bool) {
	next, ok := h.Next(entry)
	if !ok {
		return search{}, false
	}
	first, second = bare(h.Factor, first), bare(h.Factor, second)
	return search{
		matches: func(counter int64) bool { return h.hasCode(first, counter) && h.hasCode(second, counter+1) },
		from:    next - resyncAhead, to: next + resyncAhead, fresh: next,
		use: func(counter int64) ledger.Use { return ledger.Use{Step: counter + 1} },
	}, true
}
