package invocation

import "golang.org/x/sys/unix"

// synchronised asks the kernel whether a time service keeps its clock right.
func synchronised() bool {
	var query unix.Timex
	state, err := unix.Adjtimex(&query)
	return err == nil && state != unix.TIME_ERROR && query.Status&unix.STA_UNSYNC == 0
}
