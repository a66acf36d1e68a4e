// Package closeonexec keeps what a process has open from the programs that it starts.
//
// The entry point is [SetAll]. Go marks what it opens itself; what the process was started
// with, and what libraries open in it, would be passed on.
package closeonexec

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// SetAll marks all descriptors but the three standard ones.
func SetAll() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("keep descriptors from other programs: %w", err)
	}
	for _, entry := range open {
		// One that is closed by now needs no mark.
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
