// Package testuid has a test do something as another user.
//
// The entry point is [As].
package testuid

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// As runs do with the effective uid of another user, on a thread whose uid alone is
// changed. The kernel tells the other end of a socket of the ids that the connecting
// thread has at that moment, see unix(7). do must not start a goroutine that counts on it.
func As(uid int, do func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become(uid)
	defer become(0)
	return do()
}

func become(uid int) {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
		panic(errno)
	}
}
