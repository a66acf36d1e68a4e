package testwait

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Stop stops a process (SIGSTOP), and returns once none of its threads runs: each goes on
// until it has taken notice of the signal.
func Stop(tb testing.TB, pid int) {
	tb.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		tb.Fatalf("stop process %d: %v", pid, err)
	}
	Until(tb, fmt.Sprintf("every thread of process %d has stopped", pid), func() bool { return Stopped(pid) })
}

// Stopped says whether no thread of a process runs any more: see proc(5), stat.
func Stopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		if err != nil || !strings.Contains(string(stat), ") T ") {
			return false
		}
	}
	return err == nil && len(threads) > 0
}
