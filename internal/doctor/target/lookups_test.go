package target

import (
	"testing"
	"time"
)

func TestLookingUpEnds(t *testing.T) {
	clock := time.Unix(0, 0)
	late := LookingUpFrom(func() time.Time { return clock })
	for _, step := range []struct {
		at   time.Duration
		late bool
	}{{0, false}, {LookingUp, false}, {LookingUp + 1, true}} {
		clock = time.Unix(0, 0).Add(step.at)
		if late() != step.late {
			t.Errorf("after %v: late %v", step.at, !step.late)
		}
	}
}
