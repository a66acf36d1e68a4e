// Package monitor has a thread of Go's runtime look after a process less often.
//
// That thread, the runtime's system monitor, takes the processor from who is held up in
// a system call. It sleeps while a process has nothing to do, is woken by the first
// system call after that, looks some microseconds later, and falls asleep again. In a
// process that waits for each request and has one processor these are more switches
// between threads than the requests take.
//
// The entry point is [Slow]. The package promises that nothing but times changes: what
// is held up in a system call holds the rest of the process up for two slacks more at
// most.
package monitor

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// Slow has the monitor look after slack, or up to so long after it would otherwise. It
// is to be called early, as root, while /proc can be reached. Where that fails all goes
// on as it would without.
func Slow(slack time.Duration) {
	if thread, found := find(); found {
		// It is the kernel's attribute of that thread: how late its timers may be.
		_ = os.WriteFile(slackOf(thread), strconv.AppendInt(nil, int64(slack), 10), 0)
	}
}

func slackOf(thread int) string { return fmt.Sprintf("/proc/%d/timerslack_ns", thread) }

// maxThread is above all numbers of threads of Linux.
const maxThread = 1 << 22

// find is the runtime's first thread beside the one that the process began with: the
// monitor is started before anything else. Numbers grow, and begin anew at the end.
func find() (thread int, found bool) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0, false
	}
	first, nearest := os.Getpid(), maxThread
	for _, entry := range threads {
		id, err := strconv.Atoi(entry.Name())
		if err != nil || id == first {
			continue
		}
		if distance := (id - first + maxThread) % maxThread; distance < nearest {
			thread, nearest = id, distance
		}
	}
	return thread, nearest < maxThread
}
