package ratelimit

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	var p Limiter
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		after time.Duration
		takes int // how many of ten are given, of six a minute
	}{{0, 6}, {0, 0}, {10 * time.Second, 1}, {time.Hour, 6}, {-time.Hour, 0}, {30 * time.Second, 3}} {
		now = now.Add(step.after)
		taken := 0
		for range 10 {
			if p.Take(now, 6) {
				taken++
			}
		}
		if taken != step.takes {
			t.Errorf("after %v: %d, expected %d", step.after, taken, step.takes)
		}
	}
}

func TestWait(t *testing.T) {
	var p Limiter
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 6 {
		if !p.Take(now, 6) {
			t.Fatal("none is given")
		}
	}
	if p.Take(now, 6) || p.Wait(6) != 10*time.Second || p.Full(now.Add(50*time.Second), 6) || !p.Full(now.Add(time.Minute), 6) {
		t.Errorf("%+v has one in %v", p, p.Wait(6))
	}
}
