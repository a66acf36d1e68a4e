// Package testprogram writes programs that a test runs.
//
// The entry point is [Write]. It promises that they can be run at once: a child
// that another test forks meanwhile has a program that is being written open
// until it becomes another one, and the kernel runs none that is open for
// writing (ETXTBSY in execve(2)).
package testprogram

import (
	"os"
	"syscall"
)

// Write writes a program, which everybody may run.
func Write(path string, text []byte) error {
	syscall.ForkLock.RLock() // nobody forks
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, text, 0o755)
}
