package main

import (
	"testing"

	"github.com/otpgate/otpgate/bench/benchtest"
)

// TestQuick runs the bench itself: every server does every row. The times are
// of no use, so nothing is said about the goals.
func TestQuick(t *testing.T) {
	var rows []string
	for _, row := range new(bench).rows() {
		rows = append(rows, "\n"+row.name+" ")
	}
	for _, direction := range []string{" up", " down"} {
		rows = append(rows, "\n"+handOvers+direction+" ")
	}
	benchtest.Quick(t, "../..", rows...)
}
