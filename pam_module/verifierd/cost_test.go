package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// What logins cost is measured here, by make soak. A busy machine makes it no
// test: whether logins wait for others is one, see TestStalledConnections.

// pair is two verifiers of one configuration that run beside each other, of which
// a test keeps the first busy.
type pair struct {
	busy, free       *installation
	forBusy, forFree func() (name, code string)
	ofBusy, ofFree   int // processes
}

// newPair has people for so many logins at each.
func newPair(tb testing.TB, logins int, text string) *pair {
	tb.Helper()
	p := &pair{busy: newInstallation(tb, memoryDisk, text), free: newInstallation(tb, memoryDisk, text)}
	p.forBusy, p.forFree = p.busy.crowdOf(tb, logins), p.free.crowdOf(tb, logins)
	p.ofBusy, p.ofFree = p.busy.run(tb).Process.Pid, p.free.run(tb).Process.Pid
	return p
}

// ratios are how many times as much logins at the busy verifier take as those at
// the free one: of time until the answer, and of the processors.
type ratios struct{ time, ran float64 }

// compare makes so many logins at each, in turns: whatever else the machine does
// it does to both. Of the times the 95th percentile counts, of the busy one's
// without what was waited for a processor. That is what a machine is short of
// which others use, and it has least for who has just been at work.
func (p *pair) compare(b *testing.B, logins int) ratios {
	b.Helper()
	rests(b, p.ofBusy)
	took := func(p *installation, next func() (string, string)) time.Duration {
		name, code := next()
		begin := b.Elapsed()
		p.once(b, name, code)
		return b.Elapsed() - begin
	}
	waited := func() time.Duration { return scheduled(b, p.ofBusy).waited + scheduled(b, os.Getpid()).waited }
	var busy, free []time.Duration
	ranBusy, ranFree := scheduled(b, p.ofBusy).ran, scheduled(b, p.ofFree).ran
	for range logins {
		before := waited()
		whole := took(p.busy, p.forBusy)
		busy = append(busy, whole-(waited()-before))
		free = append(free, took(p.free, p.forFree))
	}
	ranBusy, ranFree = scheduled(b, p.ofBusy).ran-ranBusy, scheduled(b, p.ofFree).ran-ranFree
	slices.Sort(busy)
	slices.Sort(free)
	return ratios{float64(busy[logins*95/100]) / float64(free[logins*95/100]), float64(ranBusy) / float64(ranFree)}
}

// atMostTwice expects that logins at a busy verifier take at most twice as much as
// those at a free one. The median of a few rounds counts; where others have been at
// the machine in half of them, there are more.
func atMostTwice(b *testing.B, few, most int, round func() ratios) {
	b.Helper()
	var times, ran []float64
	for len(times) < few || (max(median(times), median(ran)) > 2 && len(times) < most) {
		r := round()
		times, ran = append(times, r.time), append(ran, r.ran)
	}
	b.Logf("times as long as a free one's at p95: %.2f; as much of the processors: %.2f", times, ran)
	if times, ran := median(times), median(ran); max(times, ran) > 2 {
		b.Errorf("logins at a busy verifier take %.2f times as long, and %.2f times as much of the processors, as at a free one, want at most twice", times, ran)
	}
}

// schedule is how long a process's threads had a processor, and waited for one.
type schedule struct{ ran, waited time.Duration }

// scheduled reads what the kernel counts for each thread. Threads that have ended
// do not count; Go keeps its own.
func scheduled(tb testing.TB, pid int) (all schedule) {
	tb.Helper()
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("the kernel does not say how long process %d ran: %v", pid, err)
	}
	for _, path := range paths {
		var ran, waited time.Duration
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		if _, err := fmt.Sscan(string(text), &ran, &waited); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		all.ran, all.waited = all.ran+ran, all.waited+waited
	}
	return all
}

// rests waits until a process has done what it had to: until ten looks one after
// the other find that it has not run.
func rests(tb testing.TB, pid int) {
	tb.Helper()
	var before schedule
	equal := 0
	testwait.Until(tb, "rest", func() bool {
		now := scheduled(tb, pid)
		if equal++; now != before {
			before, equal = now, 0
		}
		return equal == 10
	})
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// A thousand connections that say nothing, of a user's programs or of a
// server's that may ask for anybody, leave the others' logins as fast as they
// are.
func BenchmarkStalledConnections(b *testing.B) {
	const few, most, logins, connections = 7, 28, 100, 1000
	for name, uid := range map[string]int{"stranger": alicesUID, "allowed": daemonUID} {
		b.Run(name, func(b *testing.B) {
			p := newPair(b, most*logins, wide+"[verifier]\nallow = [\"daemon\"]\n")
			atMostTwice(b, few, most, func() ratios {
				var stalled []front
				for range connections {
					stalled = append(stalled, dialAs(b, uid, p.busy.socket))
				}
				defer func() {
					for _, conn := range stalled {
						_ = conn.Close()
					}
				}()
				return p.compare(b, logins)
			})
		})
	}
}

// A hundred logins that wait for a gateway leave the others as fast as they are.
func BenchmarkSlowGateway(b *testing.B) {
	const few, most, logins, waiting = 5, 24, 100, 100
	gateway := newHeldGateway(b, waiting)
	p := newPair(b, most*logins, gateway.text)
	p.busy.enrollWaiting(b, waiting)
	// A configuration that is newer is read again for each login, and the front
	// is told before that.
	for _, place := range []*installation{p.busy, p.free} {
		for state, err := config.StateOf(place.config); !state.Settled(time.Now()); time.Sleep(100 * time.Millisecond) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	atMostTwice(b, few, most, func() (measured ratios) {
		gateway.beside(b, p.busy, waiting, func() { measured = p.compare(b, logins) })
		return measured
	})
}

// From the start of the process to the first answer, as it counts when systemd
// starts it for a login. What it and this program wait for a processor does not
// count, as others may use them, but no less than it ran. The best of a few, or of
// more: a busy machine is slower at everything.
func BenchmarkStart(b *testing.B) {
	p := newInstallation(b, "", wide)
	alice := p.enroll(b, "alice")
	const few, most, want = 15, 300, 50 * time.Millisecond
	var took []time.Duration
	for len(took) < few || (slices.Min(took) > want && len(took) < most) {
		begin, before := b.Elapsed(), scheduled(b, os.Getpid()).waited
		process := p.run(b)
		if verdict, _, err := dial(b, p.socket).login(p.start("alice"), alice.code(b)); verdict != wire.Accept {
			b.Fatalf("%v, %v", verdict, err)
		}
		whole, own := b.Elapsed()-begin, scheduled(b, process.Process.Pid)
		took = append(took, max(whole-own.waited-(scheduled(b, os.Getpid()).waited-before), own.ran))
		_ = process.Process.Kill()
		_ = process.wait(b)
	}
	slices.Sort(took)
	b.Logf("best %s, median %s, worst %s", took[0], took[len(took)/2], took[len(took)-1])
	if took[0] > want {
		b.Errorf("the first answer comes after %s at best, want less than %s", took[0], want)
	}
}
