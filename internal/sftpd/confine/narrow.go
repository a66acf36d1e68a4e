package confine

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidden are system calls that a front has no use for and that would lead
// out of it: to files, programs, the network, other processes and rarely used
// parts of the kernel.
var forbidden = []uint32{
	unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_EXECVE, unix.SYS_EXECVEAT,
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_KEYCTL, unix.SYS_ADD_KEY,
	unix.SYS_REQUEST_KEY, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_MEMFD_CREATE,
	unix.SYS_MKDIRAT, unix.SYS_MKNODAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT,
	unix.SYS_KILL, unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL,
	unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET, unix.SYS_SCHED_SETAFFINITY, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM,
	unix.SYS_SCHED_SETATTR,
	unix.SYS_MSGGET, unix.SYS_SHMGET, unix.SYS_SEMGET, unix.SYS_MQ_OPEN,
}

// argument is the lower half of a system call's argument, by its place.
type argument struct {
	nr    uint32
	place uint32
	value uint32
	// only says that the call is refused with any other value; else it is
	// refused with this one.
	only bool
}

// arguments keep fronts, which have one uid, from each other: they may signal and
// limit themselves alone, and have no descriptor signal anybody.
func arguments() []argument {
	return []argument{
		{nr: unix.SYS_TGKILL, place: 0, value: uint32(os.Getpid()), only: true},
		{nr: unix.SYS_PRLIMIT64, place: 0, value: 0, only: true},
		{nr: unix.SYS_FCNTL, place: 1, value: unix.F_SETOWN},
		{nr: unix.SYS_FCNTL, place: 1, value: unix.F_SETOWN_EX},
		{nr: unix.SYS_IOCTL, place: 1, value: fiosetown},
		{nr: unix.SYS_IOCTL, place: 1, value: unix.SIOCSPGRP},
	}
}

// fiosetown is FIOSETOWN of asm/sockios.h.
const fiosetown = 0x8901

// refuse is what the kernel answers with.
var refuse = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}

// Narrow has the kernel refuse system calls that a front does not make. It is
// the second line: by its user and root a front could do nothing with most of
// them.
func Narrow() error {
	// seccomp_data: nr at 0, arch at 4, arguments from 16 on, the lower half of
	// each first on both machines. A call of another architecture's table has
	// other numbers, so such a process is ended.
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch, Jt: 1, Jf: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
	}
	program = append(program, otherTables...)
	for _, nr := range append(forbidden, forbiddenHere...) {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: 0, Jf: 1},
			refuse)
	}
	for _, a := range arguments() {
		equal := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: a.value, Jt: 0, Jf: 1}
		if a.only {
			equal.Jt, equal.Jf = 1, 0
		}
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: a.nr, Jt: 0, Jf: 4},
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16 + 8*a.place},
			equal, refuse,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0})
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno == syscall.ENOSYS {
		return nil // a kernel without it
	}
	if errno != 0 {
		return fmt.Errorf("narrow the system calls: %w", errno)
	}
	return nil
}
