package fronts

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/testwait"
)

// After Close the name is gone, nobody new is taken, and Drain waits for those
// who are being answered.
func TestDrain(t *testing.T) {
	d := newTestServer(t, echo)
	before := entries(t, "fd")
	conn := dial(t, d.path)
	say(t, conn, "x")
	d.polled(t, 1)
	if err := d.acceptors.Drain(50 * time.Millisecond); err == nil {
		t.Error("it did not wait for a front that was being answered")
	}
	if _, err := net.Dial("unix", d.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	say(t, conn, "still being answered")
	_ = conn.Close()
	if err := d.acceptors.Drain(patience); err != nil {
		t.Error(err)
	}
	if after := entries(t, "fd"); after > before {
		t.Errorf("%d open files, then %d", before, after)
	}
}

// A name that cannot be taken away cuts nobody off, and is nobody else's
// directory.
func TestDrainWithoutTheName(t *testing.T) {
	d := newTestServer(t, echo)
	conn := dial(t, d.path)
	say(t, conn, "x")
	if err := errors.Join(os.Remove(d.path), os.Mkdir(d.path, 0o755)); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error, 1)
	go func() { drained <- d.acceptors.Drain(patience) }()
	d.closed(t)
	say(t, conn, "still being answered")
	select {
	case err := <-drained:
		t.Fatalf("it did not wait for a front that was being answered: %v", err)
	default:
	}
	_ = conn.Close()
	if err := <-drained; !errors.Is(err, unix.EISDIR) || !strings.Contains(err.Error(), d.path) {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(d.path); err != nil {
		t.Error(err)
	}
}

// closed waits until no more fronts are taken.
func (d *testServer) closed(t *testing.T) {
	t.Helper()
	testwait.Until(t, "no more fronts are taken", func() bool {
		d.acceptors.mu.Lock()
		defer d.acceptors.mu.Unlock()
		return d.acceptors.socket == nil
	})
}

// A second Drain closes nothing that has been opened since the first.
func TestDrainTwice(t *testing.T) {
	d := newTestServer(t, echo)
	if err := d.acceptors.Drain(patience); err != nil {
		t.Fatal(err)
	}
	var opened [8]*os.File
	for i := range opened {
		var err error
		if opened[i], err = os.Open(os.DevNull); err != nil {
			t.Fatal(err)
		}
		defer opened[i].Close()
	}
	if err := d.acceptors.Drain(patience); err != nil {
		t.Error(err)
	}
	for _, file := range opened {
		if _, err := file.Stat(); err != nil {
			t.Error(err)
		}
	}
}

// Nothing is written either without a deadline, or after it.
func TestWriteAfterTheDeadline(t *testing.T) {
	failed := make(chan error)
	d := newTestServer(t, func(conn *Conn) {
		defer conn.Close()
		_, err := conn.Write([]byte("x"))
		failed <- err
		_ = conn.SetDeadline(time.Now().Add(-time.Second))
		_, err = conn.Write([]byte("x"))
		failed <- err
	})
	conn := dial(t, d.path)
	for range 2 {
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
	}
	if text, err := io.ReadAll(conn); len(text) > 0 || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
