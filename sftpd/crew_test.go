package main

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// sharedCrew is one that nobody uses any more, and the worker's end of it.
func sharedCrew(t *testing.T, key string) (*crew, *seqpacket.Conn) {
	t.Helper()
	ours, theirs, err := seqpacket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(theirs.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	worker, err := seqpacket.New(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { worker.Close() })
	return &crew{key: key, worker: ours, ended: make(chan struct{})}, worker
}

// Two logins at the moment in which a crew is retired may make one each, and the
// second one's is found from then on. Both end once nobody uses them.
func TestBothCrewsOfOneKeyAreRetired(t *testing.T) {
	first, one := sharedCrew(t, "ann")
	second, other := sharedCrew(t, "ann")
	c := crews{shared: map[string]*crew{"ann": second}, making: map[string]*sync.Mutex{}}
	for _, retired := range []struct {
		crew   *crew
		worker *seqpacket.Conn
	}{{first, one}, {second, other}} {
		retired.crew.users = 1
		if c.retire(retired.crew); ended(t, retired.worker, 10*time.Millisecond) {
			t.Error("a crew that is used was ended")
		}
		retired.crew.users = 0
		if c.retire(retired.crew); !ended(t, retired.worker, time.Minute) {
			t.Error("the worker was left alone")
		}
	}
	if len(c.shared) != 0 {
		t.Errorf("%d crews are left", len(c.shared))
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
