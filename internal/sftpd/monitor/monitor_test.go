package monitor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// While a goroutine runs, the monitor sleeps for a time, as no other thread does: they
// wait for each other. If a release of Go starts another thread first one day, this
// never ends.
func TestTheThreadIsTheMonitor(t *testing.T) {
	thread, found := find()
	if !found {
		t.Fatal("no thread was found")
	}
	sleeps := strconv.Itoa(unix.SYS_NANOSLEEP) + " "
	for {
		call, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", thread))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(call), sleeps) {
			return
		}
	}
}

func TestSlow(t *testing.T) {
	thread, found := find()
	if !found {
		t.Fatal("no thread was found")
	}
	before, err := os.ReadFile(slackOf(thread))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(slackOf(thread), before, 0) })
	Slow(3 * time.Millisecond)
	if after, err := os.ReadFile(slackOf(thread)); err != nil || string(after) != "3000000\n" {
		t.Errorf("expected 3000000 ns, found %q, %v", after, err)
	}
}
