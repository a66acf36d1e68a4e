package main

import (
	"testing"
	"time"

	"github.com/otpgate/otpgate/bench/benchtest"
)

// TestQuick runs the bench itself: every side lets everybody in, and there is
// a row of each.
func TestQuick(t *testing.T) {
	benchtest.Quick(t, "..", "pam_google_authenticator", forkedLabel, encryptedLabel, residentLabel, residentEncryptedLabel, remoteLabel, distantLabel, "round trips", "pam_oath", "front, socket", "in parallel",
		"loading the Go library", "waiting for the disk", "with one: ")
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
