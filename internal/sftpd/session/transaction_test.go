package session

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
	"github.com/otpgate/otpgate/internal/sftpd/stderrlog"
	"github.com/otpgate/otpgate/internal/testwait"
)

// A worker that was taken over may leave a process behind that has its standard error. The
// broker does not keep the other end for it.
func TestWhatWorkersLeaveBehind(t *testing.T) {
	ours, login := seqpackettest.Pair(t)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	left := fds[1] // open until the test ends
	defer unix.Close(left)
	said, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	defer out.Close()
	s := &Transaction{conn: ours, cmd: &exec.Cmd{}, replies: make(chan []byte), ended: make(chan struct{}), errors: os.NewFile(uintptr(fds[0]), "standard error")}
	go stderrlog.New(out, "the worker", time.Now, &stderrlog.Limit{}).Drain(s.errors)
	if _, err := unix.Write(left, []byte("the last words\n")); err != nil {
		t.Fatal(err)
	}
	go s.listen()
	if err := login.Send(fields.Message(messages.PAMEnded).Bytes); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 100)
	want := "otpgate-sftpd: the worker says \"the last words\"\n"
	if n, err := said.Read(line); err != nil || string(line[:n]) != want {
		t.Errorf("found %q, %v, want %q", line[:n], err, want)
	}
	testwait.Until(t, "the broker has closed its end", func() bool {
		_, err := unix.Write(left, []byte("x"))
		return err == unix.EPIPE
	})
}
