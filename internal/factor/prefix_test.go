package factor

import (
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger"
)

// A token that types its identity first: exactly that is taken off, and the code
// is one code with and without it.
func TestPrefix(t *testing.T) {
	h := token()
	h.Factor.Prefix = "ubhe00000001"
	for text, want := range map[string]bool{
		"ubhe00000001" + h.code(0): true, h.code(0): true,
		"UBHE00000001" + h.code(0): false, "ubhe00000002" + h.code(0): false, "ubhe0000001" + h.code(0): false,
		"ubhe00000001ubhe00000001" + h.code(0): false, "xubhe00000001" + h.code(0): false, "ubhe00000001 " + h.code(0): false,
		"ubhe00000001" + h.code(0) + "1": false, h.code(0) + "ubhe00000001": false, "ubhe00000001": false, "": false,
	} {
		var entry ledger.Entry
		if got := h.Verify(text, &entry); (got == Right) != want || IsCode(h.Factor, text) != want {
			t.Errorf("%q: %v, form %v; want %v", text, got, IsCode(h.Factor, text), want)
		}
	}
	var entry ledger.Entry
	for _, test := range []struct {
		text string
		want Outcome
	}{{"ubhe00000001" + h.code(2), Right}, {h.code(2), Used}, {"ubhe00000001" + h.code(2), Used}, {h.code(3), Right}, {"ubhe00000001" + h.code(3), Used}} {
		if got := h.Verify(test.text, &entry); got != test.want {
			t.Errorf("%q: %v, want %v", test.text, got, test.want)
		}
	}
	if codes, found := h.Ahead("ubhe00000001"+h.code(30), 100, entry); !found || codes != 26 {
		t.Errorf("ahead: %d, %v", codes, found)
	}
	if ahead, err := Resync("alice", h.Factor, "ubhe00000001"+h.code(300), "ubhe00000001"+h.code(301), time.Now(), &entry); err != nil || ahead != 296 {
		t.Errorf("resync: %d, %v", ahead, err)
	}
	if Fingerprint("alice", h.Factor) != Fingerprint("alice", token().Factor) {
		t.Error("the prefix makes used codes good again")
	}
}

// What the log is told of is the end of an answer alone.
func TestHasOther(t *testing.T) {
	h := token().Factor
	for text, want := range map[string]bool{"ubhe00000001123456": true, "x123456": true, "123456": false, "12345": false, "123456x": false, "": false} {
		if HasOther(h, text) != want || HasOther(verifier().Factor, text) {
			t.Errorf("%q: %v", text, HasOther(h, text))
		}
	}
	h.Prefix = "ubhe00000001"
	if HasOther(h, "ubhe00000001123456") || !HasOther(h, "ubhe00000002123456") {
		t.Error("with a prefix")
	}
}
