package e2e

import (
	"flag"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/otpgate/otpgate/e2e/machine"
)

// load is how long each attack of BenchmarkLoad lasts: make load LAST=1m.
var load = flag.Duration("load", 20*time.Second, "how long each attack of BenchmarkLoad lasts")

// loginTimes are the times of the logins at each server.
type loginTimes map[string][]time.Duration

// BenchmarkLoad measures logins without a pause beside each attack, without it, and
// beside the same attack at another verifier, which costs the same of the processors
// and nothing else.
func BenchmarkLoad(b *testing.B) {
	s := newLoadSites(b)
	for _, who := range s.attackers() {
		b.Run(who.name, func(b *testing.B) {
			for b.Loop() {
				stop := begin(b, s.here, 0, who.attacks...)
				logTimes(b, "attacked", logins(b, s.all, who.mayRefuse))
				stop()
				untilFree(b, s.here)
				logTimes(b, "alone", logins(b, s.all, ""))
				stop = begin(b, s.other, 0, who.attacks...)
				logTimes(b, "another verifier attacked", logins(b, s.all, ""))
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

func logTimes(b *testing.B, side string, times loginTimes) {
	b.Helper()
	for _, server := range []string{"sshd", "vsftpd", "apache"} {
		slices.Sort(times[server])
		n := len(times[server])
		b.Logf("%-26s %-7s %4d logins, p50 %4d ms, p95 %4d ms", side, server, n, times[server][n/2].Milliseconds(), times[server][n*95/100].Milliseconds())
	}
}
