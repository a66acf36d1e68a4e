package factor

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// retiredStep is the first of a factor which is somebody else's now. No clock and
// no token gets there, and times that are reckoned from it do not overflow.
const retiredStep = 1 << 50

// retiredFor is the step of a factor that went to the name to.
func retiredFor(to string) int64 {
	sum := sha256.Sum256([]byte("otpgate renamed\x00" + to))
	return retiredStep + int64(binary.BigEndian.Uint32(sum[:]))
}

// IsRetired says whether use is that of a factor which went to another name.
func IsRetired(use ledger.Use) bool { return use.Step >= retiredStep }

// Knows says whether entry, that of the name user, knows a device of the person's.
func Knows(user string, person account.Person, entry ledger.Entry) bool {
	return slices.ContainsFunc(person.Factors, func(f account.Factor) bool {
		_, known := entry.Used[Fingerprint(user, f)]
		return known
	})
}

// MoveUsed notes in entry, which is that of person, what the entry of the
// person's former name knows of the person's factors and recovery codes. It takes
// nothing back, but for what Retire put there when the person left this name
// before: since then the other entry was the one to know. Doing it twice is doing
// it once, also after the former entry was retired.
func MoveUsed(former string, was ledger.Entry, person account.Person, entry *ledger.Entry) {
	for _, f := range person.Factors {
		use, known := was.Used[Fingerprint(former, f)]
		if known && IsRetired(use) {
			continue
		}
		here := Fingerprint(person.User, f)
		if IsRetired(entry.Used[here]) {
			delete(entry.Used, here)
		}
		if known {
			MarkUsed(person.User, f, use, entry)
		}
	}
	for _, hash := range person.Recovery.Hashes {
		if _, gone := retiredCode(was, hash); gone {
			continue
		}
		if mark, gone := retiredCode(*entry, hash); gone {
			entry.UsedHashes = slices.DeleteFunc(entry.UsedHashes, func(s string) bool { return s == hash || s == mark })
		}
		if slices.Contains(was.UsedHashes, hash) && !slices.Contains(entry.UsedHashes, hash) {
			entry.UsedHashes = append(entry.UsedHashes, hash)
		}
	}
}

// retired stands before the hash of a recovery code among those that were spent,
// if it was still good when it went to another name, and between them that name's
// step of retiredFor.
const retired = "retired:"

func retiredMark(to, hash string) string {
	return retired + strconv.FormatInt(retiredFor(to), 10) + ":" + hash
}

// retiredCode finds the mark of a recovery code that went to another name.
func retiredCode(entry ledger.Entry, hash string) (mark string, found bool) {
	at := slices.IndexFunc(entry.UsedHashes, func(s string) bool {
		return strings.HasPrefix(s, retired) && strings.HasSuffix(s, ":"+hash)
	})
	if at < 0 {
		return "", false
	}
	return entry.UsedHashes[at], true
}

// Elsewhere names what of the person's went from the former name, whose entry was
// is, to another name than the person's: what was used of it is known there alone.
func Elsewhere(former string, was ledger.Entry, person account.Person) (what string, ok bool) {
	for _, f := range person.Factors {
		if use := was.Used[Fingerprint(former, f)]; IsRetired(use) && use.Step != retiredFor(person.User) {
			return "factor " + strconv.Quote(f.ID), true
		}
	}
	for _, hash := range person.Recovery.Hashes {
		if mark, gone := retiredCode(was, hash); gone && mark != retiredMark(person.User, hash) {
			return "a recovery code", true
		}
	}
	return "", false
}

// Retire has nothing of the person be good again under the former name, whose
// entry this is, whatever file comes back.
func Retire(former string, person account.Person, entry *ledger.Entry) {
	for _, f := range person.Factors {
		if !f.Kind.IsSent() {
			mark(entry, Fingerprint(former, f), ledger.Use{Step: retiredFor(person.User)})
		}
	}
	for _, hash := range person.Recovery.Hashes {
		if !slices.Contains(entry.UsedHashes, hash) {
			entry.UsedHashes = append(entry.UsedHashes, hash, retiredMark(person.User, hash))
		}
	}
}
