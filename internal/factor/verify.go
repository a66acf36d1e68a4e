package factor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/ledger"
)

// Verify checks code against one factor of the user, whatever its kind, at the
// time now. A right code is marked as used in entry. Factors whose codes are
// sent have none to compute: for them every code is Wrong here.
func Verify(user string, f account.Factor, settings config.Config, code string, now time.Time, entry *ledger.Entry) Outcome {
	switch f.Kind {
	case account.TOTP:
		return TOTP{User: user, Factor: f, Window: settings.TOTP.Window}.Verify(code, now, entry)
	case account.HOTP:
		return HOTP{User: user, Factor: f, Window: settings.HOTP.Window}.Verify(code, entry)
	}
	return Wrong
}

// IsCode says whether text has the exact form of codes that are computed from
// the factor, with or without its prefix. What is sent has its form from elsewhere,
// see IsSent.
func IsCode(f account.Factor, text string) bool {
	return !f.Kind.IsSent() && isDigits(bare(f, text), f.Digits)
}

// bare takes off what the token types before its codes, if it is there exactly. It
// is the same code then, which is used up once.
func bare(f account.Factor, text string) string {
	if f.Prefix == "" || len(text) != len(f.Prefix)+f.Digits {
		return text
	}
	return strings.TrimPrefix(text, f.Prefix)
}

// HasOther says whether text ends like a code of a token that types something
// else before it than its prefix, or has none.
func HasOther(f account.Factor, text string) bool {
	return f.Kind == account.HOTP && len(text) > f.Digits && !IsCode(f, text) && isDigits(text[len(text)-f.Digits:], f.Digits)
}

// Fingerprint names the user's factor in the ledger. It changes with the
// secret, the kind and the period, as what was used under the old ones says
// nothing about the new. It gives nothing away: the secret has at least 80
// random bits.
func Fingerprint(user string, f account.Factor) string {
	sum := sha256.New()
	for _, part := range []string{"otpgate factor", user, string(f.Kind), strconv.Itoa(f.Period)} {
		sum.Write([]byte(part + "\x00"))
	}
	sum.Write(f.Secret)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

func mark(entry *ledger.Entry, fingerprint string, use ledger.Use) {
	if entry.Used == nil {
		entry.Used = map[string]ledger.Use{}
	}
	entry.Used[fingerprint] = use
}

// MarkUsed notes in entry what has been used of the user's factor elsewhere. It
// takes nothing back: where entry knows of a later code, that stays.
func MarkUsed(user string, f account.Factor, use ledger.Use, entry *ledger.Entry) {
	fingerprint := Fingerprint(user, f)
	if known, found := entry.Used[fingerprint]; found && known.Step >= use.Step {
		return
	}
	mark(entry, fingerprint, use)
}

// MergeUsed notes in entry all that other knows to be used, recovery codes too.
func MergeUsed(other ledger.Entry, entry *ledger.Entry) {
	for fingerprint, use := range other.Used {
		if known, found := entry.Used[fingerprint]; !found || known.Step < use.Step {
			mark(entry, fingerprint, use)
		}
	}
	for _, hash := range other.UsedHashes {
		if !slices.Contains(entry.UsedHashes, hash) {
			entry.UsedHashes = append(entry.UsedHashes, hash)
		}
	}
}

// How far a wrong code is looked for to say by how much it was off: in steps
// an hour at the usual period, and as many codes as a resynchronisation.
const (
	searchedSteps = 120
	searchedCodes = resyncAhead
)

// Displaced says of a wrong code where it would have been right, such as "3
// steps (90 s) behind", or "" if nowhere near. It is for the log and for
// admins alone: to whoever guesses it would say that a code is a real one.
func Displaced(user string, f account.Factor, code string, now time.Time, entry ledger.Entry) string {
	switch f.Kind {
	case account.TOTP:
		totp := TOTP{User: user, Factor: f}
		steps, found := totp.Displaced(code, now, searchedSteps)
		if drift := entry.Used[totp.Fingerprint()].Resynced; drift != 0 {
			from := now.Add(time.Duration(drift*f.Period) * time.Second)
			if more, there := totp.Displaced(code, from, searchedSteps); there && !found {
				steps, found = drift+more, true
			}
		}
		if found {
			return Steps(steps, f.Period)
		}
	case account.HOTP:
		if codes, found := (HOTP{User: user, Factor: f}).Ahead(code, searchedCodes, entry); found {
			return Codes(codes)
		}
	}
	return ""
}

// Steps says how far a clock is ahead, or with a negative number of steps
// behind. period is in seconds.
func Steps(steps, period int) string {
	side := "ahead"
	if steps < 0 {
		steps, side = -steps, "behind"
	}
	return fmt.Sprintf("%s (%d s) %s", plural(steps, "step"), steps*period, side)
}

// Codes says how many codes a token is ahead.
func Codes(codes int) string { return plural(codes, "code") + " ahead" }

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}
