package main

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// stage is a machine.T for a program that is no test.
type stage struct {
	failed   bool
	cleanups []func()

	mu     sync.Mutex
	spoken time.Time // when the last line was shown
}

// stop unwinds a demo that cannot go on.
type stop struct{}

// run runs play, cleans up, and returns the exit status.
func (s *stage) run(play func(*stage)) (status int) {
	over := make(chan struct{})
	defer close(over)
	go s.reassure(over)
	defer func() {
		for _, cleanup := range slices.Backward(s.cleanups) {
			cleanup()
		}
	}()
	defer func() {
		if reason := recover(); reason != nil && reason != (stop{}) {
			panic(reason)
		}
		if s.failed {
			fmt.Fprintln(os.Stderr, "demo: stopped here, as this should not be so; nothing of it is left on this machine")
			status = 1
			return
		}
		s.say("\nAll was as it should be, and nothing of it is left.")
	}()
	play(s)
	return 0
}

// quiet is how long nothing is shown at most.
const quiet = 3 * time.Second

// reassure says that there is no end yet whenever nothing was shown for a while:
// sshd and PAM let time pass after a wrong password or code.
func (s *stage) reassure(over <-chan struct{}) {
	s.mu.Lock()
	s.spoken = time.Now()
	s.mu.Unlock()
	for {
		select {
		case <-over:
			return
		case <-time.After(quiet / 10):
		}
		s.mu.Lock()
		if time.Since(s.spoken) >= quiet {
			s.print("   (still waiting for that)")
		}
		s.mu.Unlock()
	}
}

func (s *stage) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.print(format, args...)
}

// print wants mu to be held.
func (s *stage) print(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
	s.spoken = time.Now()
}

// Helper implements machine.T.
func (s *stage) Helper() {}

// Name implements machine.T.
func (s *stage) Name() string { return "demo" }

// Failed implements machine.T.
func (s *stage) Failed() bool { return s.failed }

// Logf implements machine.T.
func (s *stage) Logf(format string, args ...any) { s.say(format, args...) }

// Errorf implements machine.T.
func (s *stage) Errorf(format string, args ...any) {
	s.failed = true
	fmt.Fprintf(os.Stderr, "demo: "+format+"\n", args...)
}

// Fatalf implements machine.T.
func (s *stage) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	panic(stop{})
}

// Cleanup implements machine.T.
func (s *stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }
