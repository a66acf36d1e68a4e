package e2e

import (
	"flag"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/machine"
)

// load is how long each attack of BenchmarkLoad lasts: make load LAST=1m.
var load = flag.Duration("load", 20*time.Second, "how long each attack of BenchmarkLoad lasts")

// loginTimes are the times of logins by the benchmark's clock, by server or by what they
// are beside.
type loginTimes map[string][]time.Duration

// time adds the time of a login.
func (l loginTimes) time(b *testing.B, what string, login func()) {
	b.Helper()
	begin := b.Elapsed()
	login()
	l[what] = append(l[what], b.Elapsed()-begin)
}

// log writes what was measured.
func (l loginTimes) log(b *testing.B, side string) {
	b.Helper()
	for _, what := range slices.Sorted(maps.Keys(l)) {
		slices.Sort(l[what])
		n := len(l[what])
		b.Logf("%-26s %-30s %4d logins, p50 %4d ms, p95 %4d ms, at most %4d ms", side, what, n,
			l[what][n/2].Milliseconds(), l[what][n*95/100].Milliseconds(), l[what][n-1].Milliseconds())
	}
}

// BenchmarkLoad measures logins without a pause beside each attack, without it, and
// beside the same attack at another verifier, which costs the same of the processors
// and nothing else.
func BenchmarkLoad(b *testing.B) {
	s := newLoadSites(b)
	for _, who := range s.attackers() {
		b.Run(who.name, func(b *testing.B) {
			for b.Loop() {
				stop := begin(b, s.here, 0, who.attacks...)
				logins(b, s.all, who.mayRefuse).log(b, "attacked")
				stop()
				untilFree(b, s.here)
				logins(b, s.all, "").log(b, "alone")
				stop = begin(b, s.other, 0, who.attacks...)
				logins(b, s.all, "").log(b, "another verifier attacked")
				stop()
			}
		})
	}
}

// logins has everybody in with one right code after the other, for as long as the flag
// says.
func logins(b *testing.B, all []*loop, mayRefuse string) loginTimes {
	b.Helper()
	times, mu := loginTimes{}, sync.Mutex{}
	end := b.Elapsed() + *load
	everybody(all, func(l *loop) {
		timed := *l
		timed.in = func(t machine.T, p *machine.Person, code string) bool {
			begin := b.Elapsed()
			in := l.in(t, p, code)
			mu.Lock()
			defer mu.Unlock()
			times[l.server] = append(times[l.server], b.Elapsed()-begin)
			return in
		}
		for first := true; first || b.Elapsed() < end; first = false {
			timed.right(b, l.server == mayRefuse)
		}
		l.used = timed.used
	})
	return times
}
