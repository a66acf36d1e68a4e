package fronts

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Running out of descriptors is reported once before each pause, and over when
// there are some again.
func TestOutOfDescriptors(t *testing.T) {
	paused, over := make(chan struct{}), make(chan struct{})
	d := &testServer{path: filepath.Join(t.TempDir(), "run", "sock"), pause: func() { paused <- struct{}{}; <-over }}
	d.listen(t, echo)
	conn := dial(t, d.path)
	say(t, conn, "before")
	waits := dial(t, d.path)
	say(t, waits, "before")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	giveBack := takeDescriptors(t, fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: d.path}); err != nil {
		t.Error(err)
	}
	for n := range 3 {
		<-paused
		d.mu.Lock()
		if len(d.reports) != n+1 || !strings.Contains(d.reports[n], "too many open files") {
			t.Errorf("%q at pause %d, expected one report before each", d.reports, n+1)
		}
		d.mu.Unlock()
		if n < 2 {
			over <- struct{}{}
		}
	}
	giveBack()
	over <- struct{}{}
	if _, err := unix.Write(fd, []byte("abc")); err != nil {
		t.Error(err)
	}
	answer := make([]byte, 3)
	if n, err := unix.Read(fd, answer); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	say(t, dial(t, d.path), "after")
}

// takeDescriptors takes all descriptors that this process may have, as copies of fd.
func takeDescriptors(t *testing.T, fd int) (giveBack func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	short := limit
	short.Cur = 200
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &short); err != nil {
		t.Fatal(err)
	}
	var taken []int
	for {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			break
		}
		taken = append(taken, copied)
	}
	return func() {
		for _, copied := range taken {
			unix.Close(copied)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
}
