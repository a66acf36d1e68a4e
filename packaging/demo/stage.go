package main

import (
	"fmt"
	"os"
	"slices"
)

// stage is a machine.T for a program that is no test.
type stage struct {
	failed   bool
	cleanups []func()
}

// stop unwinds a demo that cannot go on.
type stop struct{}

// run runs play, cleans up, and returns the exit status.
func (s *stage) run(play func(*stage)) (status int) {
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
			status = 1
			return
		}
		s.say("\nAll was as it should be, and nothing of it is left.")
	}()
	play(s)
	return 0
}

func (s *stage) say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

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
