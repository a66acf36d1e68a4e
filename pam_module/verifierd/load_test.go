package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// soak makes the tests long that are only sure when they are: make soak.
var soak = flag.Bool("soak", false, "run the long variants")

// memoryDisk is where a sync costs nothing: these tests are not about disks.
const memoryDisk = "/dev/shm"

// peopleFor enrolls as many people as it takes for that many logins.
func (p *installation) peopleFor(tb testing.TB, logins int) []*person {
	tb.Helper()
	var people []*person
	for i := range logins/codes + 1 {
		people = append(people, p.enroll(tb, fmt.Sprintf("user%d", i)))
	}
	return people
}

// crowdOf is for logins one after the other: each call of the result is for
// another one.
func (p *installation) crowdOf(tb testing.TB, logins int) func() (name, code string) {
	tb.Helper()
	people, next := p.peopleFor(tb, logins), 0
	return func() (string, string) {
		who := people[next%len(people)]
		next++
		return who.name, who.code(tb)
	}
}

// once is one login with a right code.
func (p *installation) once(tb testing.TB, name, code string) {
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

// A thousand connections that say nothing, of a user's programs or of a
// server's that may ask for anybody, hold up nobody else: they stay for an hour
// here, and others are let in before that. BenchmarkStalledConnections measures
// what they cost.
func TestStalledConnections(t *testing.T) {
	const logins, connections = 100, 1000
	stalled := usual
	stalled.opening = time.Hour
	for name, test := range map[string]struct{ uid, admitted int }{
		"stranger": {alicesUID, usual.perUser}, "allowed": {daemonUID, usual.allowed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, wide+"[verifier]\nallow = [\"daemon\"]\n", stalled)
			r.server.engines.allow.settle(patience)
			next := r.crowdOf(t, logins)
			for range connections {
				dialAs(t, test.uid, r.socket)
			}
			for range logins {
				who, code := next()
				r.once(t, who, code)
			}
			testwait.Until(t, "only those that say nothing are left", func() bool {
				r.server.admission.mu.Lock()
				defer r.server.admission.mu.Unlock()
				return r.server.admission.open == test.admitted
			})
		})
	}
}

// What each dialogue takes, however it ends, it gives back.
func TestNothingIsLeft(t *testing.T) {
	r := newRig(t, wide, unhurried)
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
		r.settled(t)
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
	r.settled(t)
	files, goroutines := count()
	round()
	// A connection that no longer counts may be a moment behind with the rest.
	var filesAfter, goroutinesAfter int
	defer func() {
		t.Logf("descriptors %d, then %d; goroutines %d, then %d", files, filesAfter, goroutines, goroutinesAfter)
	}()
	testwait.Until(t, "as many descriptors and goroutines as before, and two", func() bool {
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
	p := newInstallation(t, memoryDisk, wide)
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
	testwait.Until(t, "as many descriptors as before", func() bool { return process.descriptors(t) <= files })
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
