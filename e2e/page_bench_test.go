package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// BenchmarkLoadEnrollments measures each request of two hundred people who enroll through
// the page within ten seconds, and all in one instant, and logins at sshd beside them and
// alone.
func BenchmarkLoadEnrollments(b *testing.B) {
	here := newPageSite(b, "load-page", "[policy]\nattempts = { per_source = 100000 }\n")
	machine.AddToService(b, "sshd", here.Name, here.Arguments("protocol=ssh")...)
	sshd := hosts.StartSSHD(b, here.Name, hosts.WithCode...)
	var all []*loop
	for range 2 {
		p := machine.NewPerson(b, "load")
		p.Write(b, here.Users, tokenFile(p))
		all = append(all, &loop{"sshd", here.Name, p, 0, func(t machine.T, p *machine.Person, code string) bool {
			return sshd.Login(t, p, answers(p, code)).In(p)
		}})
	}
	for b.Loop() {
		logins(b, all, "").log(b, "alone")
		for _, within := range []time.Duration{10 * time.Second, 0} {
			people := guests(crowd)
			links := here.invites(b, people...)
			verifier, page := processorTime(b, here.Verifier.PID()), processorTime(b, here.page)
			enrolling := loginTimes{}
			done := make(chan struct{})
			go func() {
				defer close(done)
				enrollTimed(b, here, people, links, enrolling, within)
			}()
			beside := loginsUntil(b, all, done)
			side := fmt.Sprintf("200 within %v", within)
			enrolling.log(b, side)
			beside.log(b, side)
			b.Logf("for each of them the page computed for %v, and the verifier, for those who logged in too, for %v",
				(processorTime(b, here.page)-page)/crowd, (processorTime(b, here.Verifier.PID())-verifier)/crowd)
		}
	}
}

// loginsUntil has everybody in with one right code after the other until done is closed.
func loginsUntil(b *testing.B, all []*loop, done <-chan struct{}) loginTimes {
	times, mu := loginTimes{}, sync.Mutex{}
	everybody(all, func(l *loop) {
		for {
			begin := b.Elapsed()
			l.right(b, false)
			took := b.Elapsed() - begin
			mu.Lock()
			times["sshd"] = append(times["sshd"], took)
			mu.Unlock()
			select {
			case <-done:
				return
			default:
			}
		}
	})
	return times
}

// enrollTimed has all enroll, each beginning a moment after the one before, so that the
// last one begins after that time.
func enrollTimed(b *testing.B, here pageSite, people []*machine.Person, links []string, times loginTimes, within time.Duration) {
	var mu sync.Mutex
	var running sync.WaitGroup
	var next <-chan time.Time
	if within > 0 {
		ticker := time.NewTicker(within / crowd)
		defer ticker.Stop()
		next = ticker.C
	}
	for i, p := range people {
		if within > 0 {
			<-next
		}
		browser := here.browser(b, p.Address)
		browser.timed = func(what string, request func()) {
			start := b.Elapsed()
			request()
			took := b.Elapsed() - start
			mu.Lock()
			defer mu.Unlock()
			times[what] = append(times[what], took)
		}
		running.Go(func() {
			if _, err := browser.enrolls(links[i]); err != nil {
				b.Errorf("%s: %v", p.Name, err)
			}
		})
	}
	running.Wait()
}

// processorTime is how long a process has computed: proc_pid_stat(5), utime and stime, in
// ticks of 10 ms.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, behind, _ := strings.Cut(string(stat), ") ")
	var ticks time.Duration
	for _, field := range strings.Fields(behind)[11:13] {
		one, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(one)
	}
	return ticks * 10 * time.Millisecond
}
