package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/testwait"
	"github.com/otpgate/otpgate/internal/wire"
)

// crowd are people with tokens who log in all the time, one code after the other. Each
// code is given at two servers at once, and then at the third.
type crowd struct {
	t       *testing.T
	servers []*verifier
	people  []*tokenOwner
	end     atomic.Bool
	all     sync.WaitGroup

	mu      sync.Mutex
	logins  []span
	refused []span
}

// tokenOwner is one of them.
type tokenOwner struct {
	name string
	in   atomic.Int64
	// last is the counter of the last code that was accepted.
	last int64
}

// span is when something began and ended.
type span struct{ begin, end time.Time }

func (s span) took() time.Duration { return s.end.Sub(s.begin) }

func startCrowd(t *testing.T, servers []*verifier, size int) *crowd {
	c := &crowd{t: t, servers: servers}
	for n := range size {
		p := &tokenOwner{name: fmt.Sprintf("person%d", n)}
		c.people = append(c.people, p)
		for _, v := range servers {
			v.enrollToken(t, p.name)
		}
		c.all.Go(func() {
			for counter := int64(0); !c.end.Load(); counter++ {
				c.useOnce(p, counter)
			}
		})
	}
	return c
}

// enrollToken gives somebody a secret file on that server.
func (v *verifier) enrollToken(t testing.TB, name string) {
	t.Helper()
	text := fmt.Sprintf("version = 1\nuser = %q\nenabled = true\n[[factor]]\nid = \"token\"\nkind = \"hotp\"\nsecret = %q\ndigits = 8\ncounter = 0\nalgorithm = \"SHA1\"\nconfirmed = 2026-01-01T00:00:00Z\n", name, secret)
	if err := os.WriteFile(filepath.Join(v.dir, "users", name+".toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// useOnce gives the next code of a token at every server. It is accepted once at most,
// and not at all only if a login got no answer.
func (c *crowd) useOnce(p *tokenOwner, counter int64) {
	one, err := hotp.GenerateCodeCustom(secret, uint64(counter), hotp.ValidateOpts{Digits: otp.DigitsEight, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		c.t.Error(err)
		return
	}
	first := int(counter) % len(c.servers)
	var verdicts [3]wire.Verdict
	var pair sync.WaitGroup
	begin := time.Now()
	for n := range 2 {
		pair.Go(func() { verdicts[n] = c.login(c.servers[(first+n)%len(c.servers)], p, one) })
	}
	pair.Wait()
	tried := span{begin, time.Now()}
	verdicts[2] = c.login(c.servers[(first+2)%len(c.servers)], p, one)
	accepted := 0
	for _, verdict := range verdicts {
		switch verdict {
		case wire.Accept:
			accepted++
		case wire.MaxTries, wire.Fault:
		default:
			c.t.Errorf("%s, code %d: verdicts %v", p.name, counter, verdicts)
		}
	}
	if accepted > 1 {
		c.t.Errorf("%s, code %d was good %d times: verdicts %v", p.name, counter, accepted, verdicts)
	}
	if verdicts[0] != wire.Accept && verdicts[1] != wire.Accept {
		c.mu.Lock()
		c.refused = append(c.refused, tried)
		c.mu.Unlock()
	}
	if accepted > 0 {
		p.last = counter
		p.in.Add(1)
	}
}

func (c *crowd) login(v *verifier, p *tokenOwner, code string) wire.Verdict {
	begin := time.Now()
	verdict, told, err := v.login(p.name, code)
	if err != nil {
		c.t.Errorf("%s: %q, %v", p.name, told, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins = append(c.logins, span{begin, time.Now()})
	return verdict
}

// wait returns once everybody has got in some times more.
func (c *crowd) wait(times int64) {
	c.t.Helper()
	for _, p := range c.people {
		target := p.in.Load() + times
		testwait.Until(c.t, p.name+" gets in", func() bool { return p.in.Load() >= target })
	}
}

// stop has everybody end, and looks at what is left in the ledger: of each person the
// last code that was accepted, or one that was used up and whose answer was lost.
func (c *crowd) stop() {
	c.t.Helper()
	c.end.Store(true)
	c.all.Wait()
	if stdout, stderr, status := c.servers[0].otpctl(c.t, "ledger", "check"); status != 0 {
		c.t.Errorf("otpctl ledger check: status %d, %s%s", status, stdout, stderr)
	}
	store := c.servers[0].ledger(c.t)
	for _, p := range c.people {
		entry, err := store.View(c.t.Context(), ledger.UserKey(p.name))
		if err != nil || len(entry.Used) != 1 {
			c.t.Errorf("%s: %+v, %v", p.name, entry, err)
		}
		for _, use := range entry.Used {
			if use.Step < p.last {
				c.t.Errorf("%s: the ledger has code %d as the last one, expected %d", p.name, use.Step, p.last)
			}
		}
	}
}

// during are the times, in their order, of logins that began within one of the spans, or
// of all if there are none.
func (c *crowd) during(spans ...span) (times []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.logins {
		within := func(s span) bool { return !l.begin.Before(s.begin) && l.begin.Before(s.end) }
		if len(spans) == 0 || slices.ContainsFunc(spans, within) {
			times = append(times, l.took())
		}
	}
	slices.Sort(times)
	return times
}
