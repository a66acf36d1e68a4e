package main

import (
	"testing"
	"time"

	"github.com/otpgate/otpgate/bench/benchtest"
)

// TestQuick runs the bench itself: every side lets everybody in, and there is
// a row of each.
func TestQuick(t *testing.T) {
	benchtest.Quick(t, "..", "pam_google_authenticator", forkedLabel, encryptedLabel, residentLabel, residentEncryptedLabel, remoteLabel, distantLabel, sharedLabel, sharedPeopleLabel, "three members of etcd", "round trips", "pam_oath", "front, socket", "in parallel",
		"loading the Go library", "waiting for the disk", "with one: ")
}

// TestQuickOwn leaves out all that is not otpgate's own. On a busy machine a login may
// go more often there and back, over a connection that is made anew, but not each.
func TestQuickOwn(t *testing.T) {
	benchtest.QuickWith(t, "..", []string{"-own"}, forkedLabel, encryptedLabel, residentLabel, residentEncryptedLabel, remoteLabel, distantLabel, sharedLabel, sharedPeopleLabel, "as counted between the two: ", "the fewest round trips of a login: 3.00")
}

// A way is over when something comes back; pieces that follow each other are one.
func TestWays(t *testing.T) {
	w := &ways{}
	piece := func(outward bool, took time.Duration) {
		w.arrived(outward)
		w.passed(took)
	}
	for range 2 { // each login anew
		piece(true, 1)
		piece(false, 10)
		piece(false, 20)
		piece(true, 100)
		piece(false, 1000)
		if number, took := w.since(); number != 4 || took != 1121 {
			t.Errorf("%d ways that took %d, want 4 that took 1121", number, took)
		}
	}
	if number, took := w.since(); number != 0 || took != 0 {
		t.Errorf("%d ways that took %d where nothing came", number, took)
	}
}

func TestQuantile(t *testing.T) {
	times := []time.Duration{5, 1, 4, 2, 3}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 3, 0.95: 4, 1: 5} {
		if got := quantile(times, q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{1: "1", 999: "999", 1000: "1,000", 100_000: "100,000", 1_002_003: "1,002,003"} {
		if got := number(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
