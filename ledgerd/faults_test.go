package main

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/ledger/etcdtest"
	"github.com/otpgate/otpgate/internal/testwait"
)

var (
	kills    = flag.Int("kills", 1, "how often the leader is killed while people log in")
	stops    = flag.Int("stops", 1, "how often a member that follows is stopped while people log in")
	cuts     = flag.Int("cuts", 5, "how often answers of etcd are cut off while people log in")
	measured = flag.Bool("measured", false, "wait for the ledger as long as is usual, and hold logins to what may be expected of a machine that does nothing else")
)

// proxied is a cluster whose answers can be cut off.
type proxied struct {
	*etcdtest.Cluster
	proxies []*etcdtest.Proxy
}

func (p *proxied) cut() (sum int) {
	for _, proxy := range p.proxies {
		sum += proxy.Cuts()
	}
	return sum
}

// newServers are three servers that reach the cluster through proxies, each another
// member first.
func (p *proxied) newServers(t *testing.T, timeout string) (servers []*verifier) {
	t.Helper()
	var urls []string
	for _, member := range p.Members {
		proxy := etcdtest.NewProxy(t, member)
		p.proxies = append(p.proxies, proxy)
		urls = append(urls, proxy.URL)
	}
	for n := range p.Members {
		settings := p.Settings(t, fmt.Sprintf("server%d", n))
		settings.Endpoints = slices.Concat(urls[n:], urls[:n])
		servers = append(servers, newVerifierWith(t, settings, timeout))
	}
	return servers
}

// People log in at three servers while answers of etcd are cut off, members hang and the
// leader is killed. No code is good twice, no entry is damaged, and a right code is taken.
//
// With -measured a login waits for the ledger no longer than is usual. A right code may be
// refused then if it was given within a second of a kill.
func TestFaults(t *testing.T) {
	t.Parallel()
	timeout, size := "1m", 4
	if *measured {
		timeout, size = "3s", 16
	}
	p := &proxied{Cluster: etcdtest.Start(t, 3)}
	people := startCrowd(t, p.newServers(t, timeout), size)
	defer people.stop()
	people.wait(3)
	p.cutAnswers(t, people)
	p.hangMembers(t, people)
	p.killLeaders(t, people)
}

// cutAnswers cuts etcd's answers off, each time at another point of what is sent next.
func (p *proxied) cutAnswers(t *testing.T, people *crowd) {
	t.Helper()
	for n := range *cuts {
		before, point := p.cut(), n*89%4096
		for _, proxy := range p.proxies {
			proxy.CutAfter(point)
		}
		testwait.Until(t, "an answer is cut off", func() bool { return p.cut() > before })
		people.wait(1)
	}
	people.refusals(t, "answers cut off", nil)
}

// mostWhileHung is what the slowest of a hundred logins may take while a member hangs.
const mostWhileHung = 2500 * time.Millisecond

// hangMembers stops members that follow, one after the other.
func (p *proxied) hangMembers(t *testing.T, people *crowd) {
	t.Helper()
	var hung []span
	for n := range *stops {
		hung = append(hung, p.hang(t, people, n))
	}
	people.refusals(t, "members hung", nil)
	if !*measured || len(hung) == 0 {
		return
	}
	people.report(t, "a member hung", hung)
	times := people.during(hung...)
	if p99 := times[len(times)*99/100]; p99 > mostWhileHung {
		t.Errorf("while a member hung p99 was %v, expected at most %v", p99, mostWhileHung)
	}
}

// killLeaders kills the leader again and again.
func (p *proxied) killLeaders(t *testing.T, people *crowd) {
	t.Helper()
	var killed []time.Time
	var after []span
	for range *kills {
		leader, at := p.Leader(t), time.Now()
		killed, after = append(killed, at), append(after, span{at, at.Add(5 * time.Second)})
		leader.Kill()
		people.wait(3)
		leader.Start()
		p.Ready(t)
		people.wait(3)
	}
	people.refusals(t, "leaders killed", killed)
	if *measured {
		people.report(t, "within 5 s of a kill", after)
	}
}

// hang stops a member that follows until everybody has got in some times.
func (p *proxied) hang(t *testing.T, people *crowd, n int) span {
	t.Helper()
	leader, times := p.Leader(t), int64(3)
	if *measured {
		times = 20
	}
	follower := p.Members[n%len(p.Members)]
	if follower == leader {
		follower = p.Members[(n+1)%len(p.Members)]
	}
	begin := time.Now()
	follower.Stop()
	people.wait(times)
	end := time.Now()
	follower.Continue()
	p.Ready(t)
	people.wait(3)
	return span{begin, end}
}

// refusals fails the test if a right code was refused, but by a login that was under way
// within the second after one of these instants.
func (c *crowd) refusals(t *testing.T, while string, instants []time.Time) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, refused := range c.refused {
		excused := slices.ContainsFunc(instants, func(at time.Time) bool {
			return *measured && refused.begin.Before(at.Add(time.Second)) && refused.end.After(at)
		})
		if !excused {
			t.Errorf("%s: a right code was refused after %v", while, refused.took())
		}
	}
	if len(instants) > 0 && *measured {
		t.Logf("%d leaders killed: %d right codes refused", len(instants), len(c.refused))
	}
	c.refused = nil
}

// report says what logins took, those that began within these spans and all so far.
func (c *crowd) report(t *testing.T, while string, spans []span) {
	t.Helper()
	for _, part := range []struct {
		while string
		times []time.Duration
	}{{while, c.during(spans...)}, {"all so far", c.during()}} {
		if n := len(part.times); n > 0 {
			t.Logf("%-20s %7d logins, p50 %v, p99 %v, at most %v", part.while, n, part.times[n/2].Round(time.Millisecond), part.times[n*99/100].Round(time.Millisecond), part.times[n-1].Round(time.Millisecond))
		}
	}
}
