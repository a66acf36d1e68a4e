package session

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket/seqpackettest"
	"github.com/otpgate/otpgate/internal/testwait"
)

// sharedWorker is one that nobody uses any more, and its own end of its connection.
func sharedWorker(t *testing.T, key string) (*Worker, *seqpacket.Conn) {
	t.Helper()
	ours, theirs := seqpackettest.Pair(t)
	return &Worker{key: key, conn: ours, ended: make(chan struct{})}, theirs
}

// Two logins at the moment in which a worker is retired may make one each, and the
// second one's is found from then on. Both end once nobody uses them.
func TestBothWorkersOfOneKeyAreRetired(t *testing.T) {
	first, one := sharedWorker(t, "ann")
	second, other := sharedWorker(t, "ann")
	c := Workers{shared: map[string]*Worker{"ann": second}, making: map[string]*sync.Mutex{}}
	for _, retired := range []struct {
		worker *Worker
		theirs *seqpacket.Conn
	}{{first, one}, {second, other}} {
		retired.worker.connections = 1
		if c.retire(retired.worker); ended(t, retired.theirs, 10*time.Millisecond) {
			t.Error("a worker that is used was ended")
		}
		retired.worker.connections = 0
		if c.retire(retired.worker); !ended(t, retired.theirs, time.Minute) {
			t.Error("it was left alone")
		}
	}
	if len(c.shared) != 0 {
		t.Errorf("%d workers are left", len(c.shared))
	}
}

// A worker that does not end once its connection has counts as a connection, or whoever
// stops it could have any number, each with a process of root's.
func TestWorkersThatDoNotEndCount(t *testing.T) {
	const uid, most = 4000000, 1
	for _, key := range []string{"", "ann"} {
		w := Workers{shared: map[string]*Worker{}, making: map[string]*sync.Mutex{}}
		worker, _ := sharedWorker(t, key)
		over := make(chan struct{})
		worker.uid, worker.ended, worker.connections = uid, over, 1
		w.watch(worker)
		if !w.Counts.Enter(uid, most) {
			t.Fatal("no room for the first")
		}
		w.Leave(worker)
		if key != "" {
			w.retire(worker)
			w.retire(worker)
		}
		w.Counts.Leave(uid)
		if w.Counts.Enter(uid, most) {
			t.Errorf("key %q: there is room before the worker has ended", key)
		}
		close(over)
		testwait.Until(t, "there is room again", func() bool { return w.Counts.Enter(uid, most) })
		if w.Counts.Enter(uid, most) {
			t.Errorf("key %q: the worker is taken off twice", key)
		}
	}
}

// ended says whether the broker has hung up on a worker. After a wait that is
// over before it begins nothing is read.
func ended(t *testing.T, worker *seqpacket.Conn, wait time.Duration) bool {
	t.Helper()
	if err := worker.SetDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	_, _, err := worker.Receive(make([]byte, 16))
	switch {
	case err == io.EOF:
		return true
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false
	}
	t.Fatal(err)
	return false
}
