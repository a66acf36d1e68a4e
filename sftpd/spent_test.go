package main

import (
	"encoding/binary"
	"testing"
)

func TestSpent(t *testing.T) {
	const alice, bob = 1000, 1001
	var s spent
	id := func(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	for n := range maxSpent + 1 {
		if !s.first(alice, id(n)) {
			t.Fatalf("session %d was there already", n)
		}
	}
	for n := 1; n <= maxSpent; n++ {
		if s.first(alice, id(n)) {
			t.Fatalf("session %d was forgotten", n)
		}
	}
	if len(s.of[alice].ids) != maxSpent {
		t.Errorf("%d are remembered", len(s.of[alice].ids))
	}
	if !s.first(bob, id(5)) {
		t.Error("one person's sessions are another's")
	}
}
