package testwait

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Tick returns once a change of the file at path gets another time than its last one
// has. The kernel's clock for that ticks, every ten milliseconds at the slowest.
func Tick(tb testing.TB, path string) {
	tb.Helper()
	var file unix.Stat_t
	if err := unix.Lstat(path, &file); err != nil {
		tb.Fatal(err)
	}
	Until(tb, "the clock of "+path+" has gone on", func() bool {
		var now unix.Timespec
		return unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now) == nil && now.Nano() > file.Ctim.Nano()
	})
}
