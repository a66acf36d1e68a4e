// Package testfault has a system call fail, or kill the process that makes it, so that
// a test sees what is left of a change that stopped there.
//
// The entry points are [Child], with which a test begins, and [Fault.Run], by which it
// runs itself once more in a process that has the fault. It promises that the fault is
// in that process alone, in all of its threads, until its end. It needs root.
package testfault

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Fault is what becomes of system calls.
type Fault struct {
	// Name says which they are.
	Name  string
	Calls []uint32
	// Error is what they fail with. 0 kills the process.
	Error syscall.Errno
}

// Steps are the calls by which package safefile changes files, each of which kills.
// Before the first nothing has happened, and after the last all has.
var Steps = []Fault{
	{Name: "mkdir", Calls: []uint32{unix.SYS_MKDIRAT}},
	{Name: "chmod", Calls: []uint32{unix.SYS_FCHMOD}},
	{Name: "chown", Calls: []uint32{unix.SYS_FCHOWN}},
	{Name: "write", Calls: []uint32{unix.SYS_PWRITE64}},
	{Name: "sync", Calls: []uint32{unix.SYS_FSYNC}},
	{Name: "rename", Calls: []uint32{unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2}},
}

// Full is a disk without space for another byte.
var Full = Fault{Name: "full disk", Calls: []uint32{unix.SYS_PWRITE64}, Error: unix.ENOSPC}

const (
	variable  = "OTPGATE_TESTFAULT"
	directory = "OTPGATE_TESTFAULT_DIR"
)

// Run runs the test that calls it once more in a process with the fault, to which
// Child gives dir. It returns what the test printed, and whether the fault killed it.
func (f Fault) Run(t *testing.T, dir string) (output string, killed bool) {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	command := exec.Command(os.Args[0], "-test.run=^"+name+"$")
	command.Env = append(os.Environ(), variable+"="+f.String(), directory+"="+dir, "GORACE=atexit_sleep_ms=0")
	text, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	if killed = status.Signaled() && status.Signal() == syscall.SIGSYS; !killed && err != nil {
		t.Fatalf("%s: %v\n%s", f.Name, err, text)
	}
	return string(text), killed
}

// String is the form in which a process is told.
func (f Fault) String() string {
	words := []string{strconv.Itoa(int(f.Error))}
	for _, call := range f.Calls {
		words = append(words, strconv.FormatUint(uint64(call), 10))
	}
	return strings.Join(words, " ")
}

// Child says whether this process is one that Run made, with which dir, and lets the
// fault begin.
func Child(t *testing.T) (dir string, ok bool) {
	t.Helper()
	dir, ok = os.LookupEnv(directory)
	if !ok {
		return "", false
	}
	var numbers []uint32
	for field := range strings.FieldsSeq(os.Getenv(variable)) {
		number, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, uint32(number))
	}
	Begin(t, numbers[1:], syscall.Errno(numbers[0]))
	return dir, true
}

// Begin has calls fail in this process from now on, or kill it if errno is 0.
func Begin(t *testing.T, calls []uint32, errno syscall.Errno) {
	t.Helper()
	action := uint32(unix.SECCOMP_RET_KILL_PROCESS)
	if errno != 0 {
		action = unix.SECCOMP_RET_ERRNO | uint32(errno)
	}
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // its number
	for _, call := range calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, failed := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if failed != 0 {
		t.Fatal(failed)
	}
}
