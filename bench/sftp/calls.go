package main

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// calls counts the system calls of a server's threads by the kernel's events. Where
// the kernel does not let them be counted, it has none.
type calls struct{ counters map[int]int } // descriptors by thread

// enterEvent has the number of the event of entering any system call.
const enterEvent = "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id"

// watchCalls begins to count for each thread there is below pid, and what it starts.
func watchCalls(pid int) calls {
	c := calls{map[int]int{}}
	text, err := os.ReadFile(enterEvent)
	if err != nil {
		return c
	}
	number, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return c
	}
	for _, thread := range tasksOf(pid) {
		event := unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: number, Bits: unix.PerfBitInherit}
		fd, err := unix.PerfEventOpen(&event, thread.id, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err == nil {
			c.counters[thread.id] = fd
		}
	}
	return c
}

// of is the number of calls of a thread so far.
func (c calls) of(thread int) uint64 {
	fd, watched := c.counters[thread]
	var value [8]byte
	if !watched {
		return 0
	}
	if n, err := unix.Read(fd, value[:]); err != nil || n != len(value) {
		return 0
	}
	return binary.NativeEndian.Uint64(value[:])
}

func (c calls) close() {
	for _, fd := range c.counters {
		_ = unix.Close(fd)
	}
}
