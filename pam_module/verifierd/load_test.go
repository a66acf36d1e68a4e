package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/wire"
)

// soak makes the tests long that are only sure when they are: make soak.
var soak = flag.Bool("soak", false, "run the long variants")

// memoryDisk is where a sync costs nothing: these tests are not about disks.
const memoryDisk = "/dev/shm"

// peopleFor enrolls as many people as it takes for that many logins.
func (p *place) peopleFor(tb testing.TB, logins int) []*person {
	tb.Helper()
	var people []*person
	for i := range logins/codes + 1 {
		people = append(people, p.enroll(tb, fmt.Sprintf("user%d", i)))
	}
	return people
}

// crowdOf is for logins one after the other: each call of the result is for
// another one.
func (p *place) crowdOf(tb testing.TB, logins int) func() (name, code string) {
	tb.Helper()
	people, next := p.peopleFor(tb, logins), 0
	return func() (string, string) {
		who := people[next%len(people)]
		next++
		return who.name, who.code(tb)
	}
}

// once is one login with a right code.
func (p *place) once(tb testing.TB, name, code string) {
	tb.Helper()
	conn, err := connect(p.socket, asIs)
	if err != nil {
		tb.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if verdict, told, err := (front{conn}).login(p.start(name), code); err != nil || verdict != wire.Accept {
		tb.Errorf("%s: %v, %q, %v", name, verdict, told, err)
	}
}

// pair is two verifiers of one configuration that run beside each other, of which
// a test keeps the first busy.
type pair struct {
	busy, free       *place
	forBusy, forFree func() (name, code string)
	ofBusy, ofFree   int // processes
}

// newPair has people for so many logins at each.
func newPair(tb testing.TB, logins int, text string) *pair {
	tb.Helper()
	p := &pair{busy: newPlace(tb, memoryDisk, text), free: newPlace(tb, memoryDisk, text)}
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
func (p *pair) compare(tb testing.TB, logins int) ratios {
	tb.Helper()
	rests(tb, p.ofBusy)
	took := func(p *place, next func() (string, string)) time.Duration {
		name, code := next()
		begin := time.Now()
		p.once(tb, name, code)
		return time.Since(begin)
	}
	waited := func() time.Duration { return scheduled(tb, p.ofBusy).waited + scheduled(tb, os.Getpid()).waited }
	var busy, free []time.Duration
	ranBusy, ranFree := scheduled(tb, p.ofBusy).ran, scheduled(tb, p.ofFree).ran
	for range logins {
		before := waited()
		whole := took(p.busy, p.forBusy)
		busy = append(busy, whole-(waited()-before))
		free = append(free, took(p.free, p.forFree))
	}
	ranBusy, ranFree = scheduled(tb, p.ofBusy).ran-ranBusy, scheduled(tb, p.ofFree).ran-ranFree
	slices.Sort(busy)
	slices.Sort(free)
	return ratios{float64(busy[logins*95/100]) / float64(free[logins*95/100]), float64(ranBusy) / float64(ranFree)}
}

// atMostTwice expects that logins at a busy verifier take at most twice as much as
// those at a free one. The median of a few rounds counts; where others have been at
// the machine in half of them, there are more.
func atMostTwice(t *testing.T, few, most int, round func() ratios) {
	t.Helper()
	var times, ran []float64
	for len(times) < few || (max(median(times), median(ran)) > 2 && len(times) < most) {
		r := round()
		times, ran = append(times, r.time), append(ran, r.ran)
	}
	t.Logf("times as long as a free one's at p95: %.2f; as much of the processors: %.2f", times, ran)
	if times, ran := median(times), median(ran); max(times, ran) > 2 {
		t.Errorf("logins at a busy verifier take %.2f times as long, and %.2f times as much of the processors, as at a free one, want at most twice", times, ran)
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

// rests waits until a process has done what it had to.
func rests(tb testing.TB, pid int) {
	tb.Helper()
	ran := time.Duration(-1)
	eventually(tb, "rest", func() bool {
		before := ran
		time.Sleep(20 * time.Millisecond)
		all := scheduled(tb, pid)
		ran = all.ran + all.waited
		return ran == before
	})
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// A thousand connections that say nothing, of a user's programs or of a
// server's that may ask for anybody, leave the others' logins as fast as they
// are.
func TestStalledConnections(t *testing.T) {
	const few, most, logins, connections = 7, 28, 100, 1000
	p := newPair(t, 2*most*logins, wide+"[verifier]\nallow = [\"daemon\"]\n")
	for name, uid := range map[string]int{"stranger": alicesUID, "trusted": 1} {
		t.Run(name, func(t *testing.T) {
			atMostTwice(t, few, most, func() ratios {
				var stalled []front
				for range connections {
					stalled = append(stalled, dialAs(t, uid, p.busy.socket))
				}
				defer func() {
					for _, conn := range stalled {
						_ = conn.Close()
					}
				}()
				return p.compare(t, logins)
			})
		})
	}
}

// What each dialogue takes, however it ends, it gives back.
func TestNothingIsLeft(t *testing.T) {
	r := newRig(t, wide, usual)
	next := r.crowdOf(t, 2000)
	ways := []func(){
		func() { name, code := next(); r.once(t, name, code) },
		func() { _ = dial(t, r.socket).Close() },
		func() { conn := dial(t, r.socket); _ = conn.open(r.start("user0")); _ = conn.Close() },
		func() { conn := dial(t, r.socket); _, _ = io.WriteString(conn, "garbage\n"); _ = conn.Close() },
		func() { r.configure(t, wide); name, code := next(); r.once(t, name, code) },
	}
	round := func() {
		for i := range 400 * len(ways) {
			ways[i%len(ways)]()
		}
		eventually(t, "the end of all", func() bool { return r.server.admission.idle() > 20*time.Millisecond })
		runtime.GC()
	}
	count := func() (int, int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries), runtime.NumGoroutine()
	}
	for range 20 {
		ways[0]()
	}
	eventually(t, "the end of all", func() bool { return r.server.admission.idle() > 20*time.Millisecond })
	files, goroutines := count()
	round()
	// A connection that no longer counts may be a moment behind with the rest.
	var filesAfter, goroutinesAfter int
	defer func() {
		t.Logf("descriptors %d, then %d; goroutines %d, then %d", files, filesAfter, goroutines, goroutinesAfter)
	}()
	eventually(t, "as many descriptors and goroutines as before, and two", func() bool {
		filesAfter, goroutinesAfter = count()
		return filesAfter <= files+2 && goroutinesAfter <= goroutines+2
	})
}

// TestMemory makes 100,000 logins in its long variant.
func TestMemory(t *testing.T) {
	logins := 3000
	if *soak {
		logins = 100_000
	}
	const most = 20 << 20
	p := newPlace(t, memoryDisk, wide)
	people := p.peopleFor(t, logins+1)
	process := p.run(t)
	// It has all that it keeps once it has answered; it listens before that.
	p.once(t, people[0].name, people[0].code(t))
	// Nobody has two logins at once, of which the later one might be first.
	free := make(chan *person, len(people))
	for _, who := range people {
		free <- who
	}
	files := process.descriptors(t)
	begin := time.Now()
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for range logins / 16 {
				who := <-free
				p.once(t, who.name, who.code(t))
				free <- who
			}
		})
	}
	workers.Wait()
	resident := process.resident(t)
	t.Logf("%d logins in %s: %.1f MiB resident, %d descriptors, %d before", logins, time.Since(begin), float64(resident)/(1<<20), process.descriptors(t), files)
	if resident > most {
		t.Errorf("%d bytes are resident after %d logins, want at most %d", resident, logins, most)
	}
	eventually(t, "as many descriptors as before", func() bool { return process.descriptors(t) <= files })
}

// resident is what the process has in memory, in bytes.
func (p *process) resident(tb testing.TB) int { tb.Helper(); return p.status(tb, "VmRSS") }

// status is a size of the kernel's, in bytes.
func (p *process) status(tb testing.TB, name string) int {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	match := regexp.MustCompile(name + `:\s+([0-9]+) kB`).FindStringSubmatch(string(status))
	if match == nil {
		tb.Fatalf("no %s in %s", name, strings.TrimSpace(string(status)))
	}
	kilobytes, err := strconv.Atoi(match[1])
	if err != nil {
		tb.Fatal(err)
	}
	return kilobytes << 10
}
