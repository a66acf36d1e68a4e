// Package testwait waits in tests for what no channel tells of: the state of another
// goroutine, of another process, or of the kernel.
//
// The entry point is [Until]. It promises to return once it is so, however slow the
// machine is, and to say what was waited for if go test's own time is nearly over.
package testwait

import (
	"testing"
	"time"
)

// enough is what is left of go test's time to say what was waited for, and between two looks.
const (
	enough  = 10 * time.Second
	between = time.Millisecond
)

// Until returns once holds does.
func Until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	limited, _ := tb.(interface{ Deadline() (time.Time, bool) })
	for !holds() {
		if limited != nil {
			if end, ok := limited.Deadline(); ok && time.Until(end) < enough {
				tb.Fatalf("waited in vain: %s", what)
			}
		}
		time.Sleep(between)
	}
}
