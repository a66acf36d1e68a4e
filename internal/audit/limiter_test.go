package audit

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

// drivenLimiter is a limiter whose clock and timers the test drives.
type drivenLimiter struct {
	*Limiter
	clock time.Time
	due   []func()
	dueAt []time.Time
	lines []string
}

func newDrivenLimiter() *drivenLimiter {
	d := &drivenLimiter{clock: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	d.Limiter = NewLimiter(func(r Record) {
		d.lines = append(d.lines, fmt.Sprintf("%s %s: %s", d.clock.Format("05.0"), r.Rule, r.Reason))
	})
	d.now = func() time.Time { return d.clock }
	d.after = func(wait time.Duration, f func()) {
		d.due, d.dueAt = append(d.due, f), append(d.dueAt, d.clock.Add(wait))
	}
	return d
}

func (d *drivenLimiter) pass(t time.Duration) {
	for end := d.clock.Add(t); d.clock.Before(end); {
		d.clock = d.clock.Add(100 * time.Millisecond)
		for i := 0; i < len(d.due); i++ {
			if f := d.due[i]; f != nil && !d.clock.Before(d.dueAt[i]) {
				d.due[i] = nil
				f()
			}
		}
	}
}

// One line a second of each rule, the first at once, and none is lost without
// being counted.
func TestLinesAreLimited(t *testing.T) {
	d := newDrivenLimiter()
	line := func(rule, reason string) { d.Write(Record{Rule: rule, Reason: reason}) }
	line("a", "first")
	line("b", "first")
	for n := range 5 {
		line("a", fmt.Sprint(n))
	}
	d.pass(500 * time.Millisecond)
	line("a", "last")
	line("b", "second")
	d.pass(600 * time.Millisecond)
	line("a", "too soon")
	d.pass(10 * time.Second)
	line("a", "later")
	want := []string{"00.0 a: first", "00.0 b: first", "01.0 a: one of 6: last", "01.0 b: second", "02.0 a: too soon", "11.1 a: later"}
	if !reflect.DeepEqual(d.lines, want) {
		t.Errorf("expected %q, found %q", want, d.lines)
	}
	// A flood for a minute.
	d.lines = nil
	d.pass(time.Second)
	for range 600 {
		for range 50 {
			line("a", "flood")
		}
		d.pass(100 * time.Millisecond)
	}
	d.pass(2 * time.Second)
	if len(d.lines) < 60 || len(d.lines) > 62 {
		t.Errorf("%d lines of a flood of a minute: %q", len(d.lines), d.lines)
	}
	if len(d.rules) != 2 {
		t.Errorf("%d rules are remembered", len(d.rules))
	}
	// The clock is set back by an hour: who waits, waits a second.
	line("a", "before")
	d.lines = nil
	d.clock = d.clock.Add(-time.Hour)
	line("a", "after")
	line("a", "after it")
	d.pass(time.Second)
	if len(d.lines) != 1 || d.lines[0][5:] != "a: one of 2: after it" {
		t.Errorf("a clock that was set back: %q", d.lines)
	}
}
