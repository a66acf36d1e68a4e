package main

import (
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"
)

// As many connections as may be open need more than the unit allows, unless garbage is
// collected in time: what is not memory of Go's needs the rest.
func TestMemoryLimitIsBelowTheUnits(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	if err := run("/nonexistent"); err == nil {
		t.Fatal("it runs without a configuration")
	}
	unit, err := os.ReadFile("../packaging/systemd/otpgate-portal.service")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^MemoryMax=(\d+)M$`).FindSubmatch(unit)
	if found == nil {
		t.Fatal("the unit has no MemoryMax=")
	}
	most, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if limit := debug.SetMemoryLimit(-1); limit > most<<20*3/4 {
		t.Errorf("garbage is collected at %d MiB, and the unit allows %d", limit>>20, most)
	}
}
