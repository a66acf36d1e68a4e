package factor

import (
	"fmt"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// That a code was sent is remembered for an hour, of so many, for that person,
// and is good for nothing.
func TestWasSent(t *testing.T) {
	var entry ledger.Entry
	AddCarried(&entry, Carry("alice", "ftp", "waits", noon.Add(time.Minute)), noon)
	for i := range 3 * maxEarlier {
		MarkSent("alice", "", fmt.Sprint("code", i), noon, &entry)
	}
	if len(entry.Carried) != maxEarlier+1 {
		t.Errorf("%d are kept", len(entry.Carried))
	}
	newest := fmt.Sprint("code", 3*maxEarlier-1)
	for _, test := range []struct {
		user, code string
		after      time.Duration
		want       bool
	}{
		{"alice", newest, 0, true},
		{"alice", newest, time.Hour - time.Second, true},
		{"alice", newest, time.Hour, false},
		{"bob", newest, 0, false},
		{"alice", "code0", 0, false},
		{"alice", "waits", 0, false},
		{"alice", "", 0, false},
	} {
		if got := WasSent(test.user, test.code, noon.Add(test.after), entry); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
	if VerifyCarried("alice", "ftp", newest, noon, &entry) == Right || VerifyCarried("alice", "ftp", "waits", noon, &entry) != Right {
		t.Error("a mark is good for a login, or pushed out a code that waits")
	}
	for i := range 2 * maxCarried {
		AddCarried(&entry, Carry("alice", "ftp", fmt.Sprint(i), noon.Add(time.Minute)), noon)
	}
	if !WasSent("alice", newest, noon, entry) {
		t.Error("codes that wait pushed out a mark")
	}
}
