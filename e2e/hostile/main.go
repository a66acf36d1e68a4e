// Command hostile takes the place of sftpd's front in a test: it is a front
// that an attacker has taken over. It gives up its rights as the real one does
// and then does what the client says: every message goes to the broker as it
// is, with nothing in between.
//
// A frame from the client is a length of four bytes and a message for the broker.
// One that begins with Worker is for the worker, over the session that the broker
// gave last, and one that begins with Probe asks what a process can do by itself. A
// frame to the client is the same, with a byte before the message: how many
// descriptors came with it.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/confine"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// Messages that are not for the broker.
const (
	Worker = 0xFE
	Probe  = 0xFF
)

func main() {
	control, err := seqpacket.New(3)
	if err != nil {
		panic(err)
	}
	buffer := make([]byte, seqpacket.MaxSize)
	for {
		n, fds, err := control.Receive(buffer)
		if err != nil {
			return
		}
		r := fields.NewReader(buffer[:n])
		switch r.U8() {
		case messages.FrontBecome:
			id := confine.Identity{UID: r.U32(), GID: r.U32(), Root: r.Text(), Home: "/"}
			if err := confine.Become(id, false); err != nil {
				panic(err)
			}
			if err := confine.Narrow(); err != nil {
				panic(err)
			}
		case messages.FrontConnection:
			go serve(fds[0], fds[1])
		}
	}
}

func serve(fd, brokerFD int) {
	broker, err := seqpacket.New(brokerFD)
	if err != nil {
		return
	}
	defer broker.Close()
	file := os.NewFile(uintptr(fd), "client")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		return
	}
	defer conn.Close()
	var worker *seqpacket.Conn
	go func() {
		buffer := make([]byte, seqpacket.MaxSize)
		for {
			n, fds, err := broker.Receive(buffer)
			if err != nil {
				conn.Close()
				return
			}
			if len(fds) == 1 {
				worker, _ = seqpacket.New(fds[0])
			}
			answer(conn, len(fds), buffer[:n])
		}
	}()
	for {
		var head [4]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(conn, message); err != nil || len(message) == 0 {
			return
		}
		switch message[0] {
		case Probe:
			answer(conn, 0, []byte(probe(string(message[1:]))))
		case Worker:
			if worker == nil {
				answer(conn, 0, []byte("no worker"))
				continue
			}
			reply, fds := ask(worker, message[1:])
			answer(conn, fds, reply)
		default:
			_ = broker.Send(message)
		}
	}
}

// ask returns the worker's answer and how many descriptors came with it.
func ask(worker *seqpacket.Conn, message []byte) ([]byte, int) {
	if err := worker.Send(message); err != nil {
		return []byte("gone"), 0
	}
	buffer := make([]byte, seqpacket.MaxSize)
	n, fds, err := worker.Receive(buffer)
	seqpacket.CloseAll(fds)
	if err != nil {
		return []byte("gone"), 0
	}
	return buffer[:n], len(fds)
}

func answer(conn net.Conn, fds int, message []byte) {
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(message)+1))
	frame = append(frame, byte(fds))
	_, _ = conn.Write(append(frame, message...))
}

// probe tries what a process can do by itself and says what worked. The pids are
// those of the broker and of all fronts.
func probe(pids string) string {
	var worked []string
	try := func(what string, err error) {
		if err == nil {
			worked = append(worked, what)
		}
	}
	for _, path := range []string{"/etc/passwd", "/proc/self/mem", "/", "../../../etc/passwd", "/dev/null"} {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		try("open "+path, err)
		if err == nil {
			unix.Close(fd)
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6, unix.AF_UNIX, unix.AF_NETLINK} {
		_, err := unix.Socket(family, unix.SOCK_STREAM, 0)
		try(fmt.Sprintf("socket %d", family), err)
	}
	for _, pid := range strings.Fields(pids) {
		if number, err := strconv.Atoi(pid); err == nil && number != os.Getpid() {
			reach(number, try)
		}
	}
	_, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	try("a socket that can send anywhere", err)
	try("mkdir", unix.Mkdir("/x", 0o700))
	try("chroot", unix.Chroot("."))
	try("setuid", unix.Setuid(0))
	try("exec", unix.Exec("/proc/self/exe", []string{"x"}, nil))
	try("mount", unix.Mount("none", "/", "tmpfs", 0, ""))
	try("unshare", unix.Unshare(unix.CLONE_NEWUSER))
	if os.Getuid() == 0 || os.Geteuid() == 0 {
		worked = append(worked, "root")
	}
	return "probed: " + strings.Join(worked, ", ")
}

// reach tries to do something to another process; a thread of it has its pid.
func reach(pid int, try func(what string, err error)) {
	try("kill", unix.Kill(pid, 0))
	try("tgkill", unix.Tgkill(pid, pid, 0))
	call := func(what string, nr uintptr, arguments ...uintptr) {
		var a [4]uintptr
		copy(a[:], arguments)
		_, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], 0, 0)
		if errno == 0 {
			try(what, nil)
		}
	}
	call("tkill", unix.SYS_TKILL, uintptr(pid), 0)
	var info [128]byte
	info[8] = 0xFF // SI_QUEUE, as a process may send it
	info[9], info[10], info[11] = 0xFF, 0xFF, 0xFF
	call("rt_sigqueueinfo", unix.SYS_RT_SIGQUEUEINFO, uintptr(pid), 0, uintptr(unsafe.Pointer(&info[0])))
	call("rt_tgsigqueueinfo", unix.SYS_RT_TGSIGQUEUEINFO, uintptr(pid), uintptr(pid), 0, uintptr(unsafe.Pointer(&info[0])))
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		try("pidfd_send_signal", unix.PidfdSendSignal(fd, 0, nil, 0))
	}
	var limit unix.Rlimit
	try("prlimit", unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit))
	try("setpriority", unix.Setpriority(unix.PRIO_PROCESS, pid, 19))
	var processors unix.CPUSet
	processors.Set(0)
	try("sched_setaffinity", unix.SchedSetaffinity(pid, &processors))
	_, err = unix.FcntlInt(0, unix.F_SETOWN, pid)
	try("a signal by a descriptor", err)
	try("ptrace", unix.PtraceAttach(pid))
}
