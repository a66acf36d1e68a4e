package factor

import (
	"slices"

	"github.com/otpgate/otpgate/internal/account"
	"github.com/otpgate/otpgate/internal/ledger"
)

// retiredStep is that of a factor which is somebody else's now. No clock and no
// token gets there, and times that are reckoned from it do not overflow.
const retiredStep = 1 << 50

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
		if slices.Contains(was.Spent, retired+hash) {
			continue
		}
		if slices.Contains(entry.Spent, retired+hash) {
			entry.Spent = slices.DeleteFunc(entry.Spent, func(s string) bool { return s == hash || s == retired+hash })
		}
		if slices.Contains(was.Spent, hash) && !slices.Contains(entry.Spent, hash) {
			entry.Spent = append(entry.Spent, hash)
		}
	}
}

// retired stands before the hash of a recovery code among those that were spent,
// if it was still good when it went to another name.
const retired = "retired:"

// Retire has nothing of the person be good again under the former name, whose
// entry this is, whatever file comes back.
func Retire(former string, person account.Person, entry *ledger.Entry) {
	for _, f := range person.Factors {
		if !f.Kind.IsSent() {
			mark(entry, Fingerprint(former, f), ledger.Use{Step: retiredStep})
		}
	}
	for _, hash := range person.Recovery.Hashes {
		if !slices.Contains(entry.Spent, hash) {
			entry.Spent = append(entry.Spent, hash, retired+hash)
		}
	}
}
