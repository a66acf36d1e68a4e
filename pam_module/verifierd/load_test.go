package main

import (
	"flag"
	"fmt"
	"io"
	"os"
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

// slowest is the 95th percentile of so many logins one after the other.
func (p *place) slowest(tb testing.TB, logins int, next func() (string, string)) time.Duration {
	tb.Helper()
	var took []time.Duration
	for range logins {
		name, code := next()
		begin := time.Now()
		p.once(tb, name, code)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)*95/100]
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// A thousand connections that say nothing, of a user's programs or of a
// server's that may ask for anybody, leave the others' logins as fast as they
// are. In turns, of which the median counts, as the machine is not ours alone;
// where others have been at it in half of them, there are more.
func TestStalledConnections(t *testing.T) {
	const few, most, logins, connections = 7, 28, 100, 1000
	p := newPlace(t, memoryDisk, wide+"[verifier]\nallow = [\"daemon\"]\n")
	next := p.crowdOf(t, 4*most*logins)
	p.run(t)
	for name, uid := range map[string]int{"stranger": alicesUID, "trusted": 1} {
		t.Run(name, func(t *testing.T) {
			alone, crowded := time.Hour, time.Hour
			var ratios []float64
			for len(ratios) < few || (median(ratios) > 2 && len(ratios) < most) {
				without := p.slowest(t, logins, next)
				var stalled []front
				for range connections {
					stalled = append(stalled, dialAs(t, uid, p.socket))
				}
				beside := p.slowest(t, logins, next)
				alone, crowded = min(alone, without), min(crowded, beside)
				ratios = append(ratios, float64(beside)/float64(without))
				for _, conn := range stalled {
					_ = conn.Close()
				}
			}
			t.Logf("p95 alone %s, beside %d stalled connections %s, in turns %.2f", alone, connections, crowded, ratios)
			if times := median(ratios); times > 2 {
				t.Errorf("p95 is %.2f times as long beside %d stalled connections, want at most twice", times, connections)
			}
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
func (p *process) resident(tb testing.TB) int {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	match := regexp.MustCompile(`VmRSS:\s+([0-9]+) kB`).FindStringSubmatch(string(status))
	if match == nil {
		tb.Fatalf("no VmRSS in %s", strings.TrimSpace(string(status)))
	}
	kilobytes, err := strconv.Atoi(match[1])
	if err != nil {
		tb.Fatal(err)
	}
	return kilobytes << 10
}
