package etcdledger

import (
	"testing"
	"time"
)

// However long a member takes to say its time, its clock is off by no more than that
// time lies outside of the question's.
func TestBetween(t *testing.T) {
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	for clock, want := range map[int64]int64{90: 100, 100: 100, 105: 105, 110: 110, 120: 110} {
		if got := between(at(100), at(clock), at(110)); !got.Equal(at(want)) {
			t.Errorf("%d: %v, expected %v", clock, got, at(want))
		}
	}
}
