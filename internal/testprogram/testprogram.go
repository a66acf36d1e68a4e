// Package testprogram is about programs that a test runs: it writes them, and makes the
// test binary one.
//
// The entry points are [Write], [FIFO], and [Main] with [Worker]. It promises that programs can be run at
// once: a child that another test forks meanwhile has a program that is being written
// open until it becomes another one, and the kernel runs none that is open for writing
// (ETXTBSY in execve(2)). And it promises that none that hangs at a FIFO outlives the
// test.
package testprogram

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Write writes a program, which everybody may run.
func Write(path string, text []byte) error {
	syscall.ForkLock.RLock() // nobody forks
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, text, 0o755)
}

// FIFO makes a named pipe that t holds open at both ends. Who reads it hangs until t
// writes it, or has ended; who writes it tells t.
func FIFO(t testing.TB) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}
