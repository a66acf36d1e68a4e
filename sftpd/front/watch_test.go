package main

import (
	"testing"
	"time"
)

// mute never answers.
type mute struct{ ended chan struct{} }

func (m mute) SendRequest(string, bool, []byte) (bool, []byte, error) {
	<-m.ended
	return false, nil, nil
}

// A client that never says whether it is there, and asks for something all the
// time, is; one of which nothing comes is not.
func TestWhateverComesIsASignOfLife(t *testing.T) {
	c, _ := testConnection(t)
	ours, theirs := pair(t)
	c.conn = ours
	ended, ticks, gone := make(chan struct{}), make(chan time.Time), make(chan bool, 1)
	defer close(ended)
	go func() { gone <- c.keepAlive(mute{ended}, ended, ticks) }()
	var one [1]byte
	for range 5 * maxMissed {
		if _, err := theirs.Write(one[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Read(one[:]); err != nil {
			t.Fatal(err)
		}
		select {
		case ticks <- time.Time{}:
		case <-gone:
			t.Fatal("ended while it was asking for something")
		}
	}
	// What was read may have counted for the tick before.
	for n := 0; ; n++ {
		select {
		case ticks <- time.Time{}:
			if n > maxMissed {
				t.Fatal("a silent client was not ended")
			}
		case dead := <-gone:
			if !dead || n < maxMissed-1 {
				t.Errorf("ended after %d ticks: %v", n, dead)
			}
			return
		}
	}
}
