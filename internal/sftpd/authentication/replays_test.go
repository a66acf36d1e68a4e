package authentication

import (
	"encoding/binary"
	"testing"
)

func TestProofsAreGoodOnce(t *testing.T) {
	const alice, bob = 1000, 1001
	var s replays
	id := func(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	for n := range maxReplays + 1 {
		if !s.fresh(alice, id(n)) {
			t.Fatalf("session %d was there already", n)
		}
	}
	for n := 1; n <= maxReplays; n++ {
		if s.fresh(alice, id(n)) {
			t.Fatalf("session %d was forgotten", n)
		}
	}
	if len(s.of[alice].ids) != maxReplays {
		t.Errorf("%d are remembered", len(s.of[alice].ids))
	}
	if !s.fresh(bob, id(5)) {
		t.Error("one person's sessions are another's")
	}
}
