package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// bench is all sides of a run. Those after the first three groups are there
// to take otpgate's time apart.
type bench struct {
	google    *side
	one, many *side   // forked
	encrypted *side   // forked, with encrypted secrets
	resident  []*side // by growing number of people
	secrets   *side   // resident, with encrypted secrets
	oath      []*side
	bare      *side // libpam and the host alone
	instant   *side // and the front
	hollow    *side // and a Go library
	memory    *side // and the engine, with the ledger in memory
	relayed   *side // the front, and a resident verifier without an engine
	kept      *side // and the engine, with the ledger in memory

	server    *remote
	near, far *side // by the server, and by it from a distance

	etcd   *sharedLedger
	shared *side // resident, with the ledger in etcd
	people *side // and with people there too
}

func (b *bench) sides() []*side {
	all := append([]*side{b.google, b.one, b.encrypted, b.secrets, b.many}, b.oath...)
	all = append(append(all, b.resident...), b.near, b.far, b.shared, b.people)
	all = append(all, b.bare, b.instant, b.hollow, b.memory, b.relayed, b.kept)
	return slices.DeleteFunc(all, func(s *side) bool { return s == nil })
}

// verifiers are the sides that have one with an engine.
func (b *bench) verifiers() []*side {
	all := append(slices.Clone(b.resident), b.kept, b.secrets, b.near, b.far, b.shared, b.people)
	return slices.DeleteFunc(all, func(s *side) bool { return s == nil })
}

// hollowVerifiers are those that have one without.
func (b *bench) hollowVerifiers() []*side {
	if b.relayed == nil {
		return nil
	}
	return []*side{b.relayed}
}

// end ends what setUp has started.
func (b *bench) end() {
	if b.far != nil {
		b.far.through.end()
	}
	if b.etcd != nil {
		b.etcd.end()
	}
}

func measure(todo plan) error {
	b, err := setUp(todo)
	defer b.end()
	if err != nil {
		return err
	}
	end, err := startVerifiers(b.server, b.verifiers(), b.hollowVerifiers()...)
	defer end()
	if err != nil {
		return err
	}
	var t *throughput
	if !todo.own {
		if t, err = newThroughput(todo, b.etcd); err != nil {
			return err
		}
	}
	// What was made above is written now and not by the kernel during a login.
	unix.Sync()
	h, err := startHost()
	if err != nil {
		return err
	}
	if err := b.play(h, todo); err != nil {
		return err
	}
	if err := h.end(); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	if t == nil {
		b.reportOwn(os.Stdout, todo)
		return nil
	}
	b.report(os.Stdout, todo)
	if err := t.play(); err != nil {
		return err
	}
	t.report(os.Stdout)
	return nil
}

// setUp gives in any case what is to be ended.
func setUp(todo plan) (*bench, error) {
	b := &bench{}
	if err := clearStale(); err != nil {
		return b, err
	}
	// As every machine has; without it libpam writes a line into the log of each
	// login.
	if err := service("other", "pam_deny.so"); err != nil {
		return b, err
	}
	m, err := newModel(memory + "/model")
	if err != nil {
		return b, err
	}
	// A first login and two more each, as no module takes a fourth code of one
	// person within a time step.
	n := (todo.rounds + 1) / 2
	makers := b.own(n, m)
	if !todo.own {
		makers = append(append(b.parts(n, m), b.others(todo)...), makers...)
		makers = append(append(makers, func() (err error) { b.google, err = google("g", n); return }), b.crowds(todo, n, m)...)
	}
	for _, maker := range makers {
		if err := maker(); err != nil {
			return b, err
		}
	}
	return b, nil
}

// own makes the sides of otpgate with one person.
func (b *bench) own(n int, m model) []func() error {
	return []func() error{
		func() (err error) {
			b.one, err = otpgateAlone(forkedLabel, realCore, sites+"/%s/state", n, m)
			return
		},
		func() (err error) { b.encrypted, err = encryptedAlone(n, m); return },
		func() (err error) { b.secrets, err = residentEncrypted(n, m); return },
		func() error {
			one, err := residentAlone("resident-alone", sites+"/resident-alone/state", n, m)
			b.resident = append(b.resident, one)
			return err
		},
		func() error { return b.remotes(n, m) },
		func() (err error) {
			if b.etcd, err = newSharedLedger(); err == nil {
				b.shared, err = b.etcd.site(sharedSite, n, m)
			}
			if err == nil {
				b.people, err = b.etcd.withPeople(n, m)
			}
			return err
		},
	}
}

// crowds makes the sides of many people.
func (b *bench) crowds(todo plan, n int, m model) (makers []func() error) {
	for i, size := range todo.many {
		makers = append(makers, func() error {
			forked, resident, err := crowd(size, n, m)
			if i == 1 {
				b.many = forked
			}
			b.resident = append(b.resident, resident)
			return err
		})
	}
	return makers
}

// remotes makes the sides that a server decides.
func (b *bench) remotes(n int, m model) (err error) {
	if b.server, err = newRemote(n, m); err != nil {
		return err
	}
	address := b.server.listener.Addr().String()
	if b.near, err = b.server.client("remote-near", remoteLabel, address, n); err != nil {
		return err
	}
	through, err := startDistance(address)
	if err != nil {
		return err
	}
	if b.far, err = b.server.client("remote-far", distantLabel, through.address, n); err != nil {
		through.end()
		return err
	}
	b.far.through = through
	return nil
}

// parts makes the sides that take otpgate's time apart.
func (b *bench) parts(n int, m model) []func() error {
	return []func() error{
		func() (err error) { b.bare, err = bare(n); return },
		func() (err error) { b.relayed, err = relayed(n); return },
		func() (err error) {
			b.kept, err = residentAlone("resident-memory", memory+"/resident-memory", n, m)
			return
		},
		func() (err error) {
			b.instant, err = otpgateAlone("", instantCore, memory+"/%s", n, m)
			return
		},
		func() (err error) {
			b.hollow, err = otpgateAlone("", hollowCore, memory+"/%s", n, m)
			return
		},
		func() (err error) {
			b.memory, err = otpgateAlone("", realCore, memory+"/%s", n, m)
			return
		},
	}
}

// others makes the sides of pam_oath.
func (b *bench) others(todo plan) (makers []func() error) {
	for _, size := range todo.crowds {
		makers = append(makers, func() error {
			every := 1
			if size == todo.crowds[len(todo.crowds)-1] {
				every = todo.slow
			}
			s, err := oath(size, (todo.rounds/every+1)/2, every)
			b.oath = append(b.oath, s)
			return err
		})
	}
	return makers
}

// clearStale takes away what an earlier run left, but for the crowds.
func clearStale() error {
	stale, err := filepath.Glob(sites + "/*-*-*")
	if err != nil {
		return err
	}
	for _, path := range append(stale, confdir, sites+"/google", sites+"/oath") {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// bare is a service that asks nothing.
func bare(n int) (*side, error) {
	s := &side{every: 1}
	for range n {
		s.people = append(s.people, &person{service: "bare", name: "nobody"})
	}
	return s, service("bare", "pam_permit.so")
}

// play has everybody log in once, as the first login makes files, and then
// measures round after round, in which each side has one login.
func (b *bench) play(h *host, todo plan) error {
	sides := b.sides()
	// In a fixed order each side would pay for what the same other one left to
	// the disk: that alone made a tenth.
	order := rand.New(rand.NewPCG(1, 2))
	shuffle := func() {
		order.Shuffle(len(sides), func(i, j int) { sides[i], sides[j] = sides[j], sides[i] })
	}
	for i := range b.one.people {
		shuffle()
		for _, s := range sides {
			if i >= len(s.people) {
				continue
			}
			if err := s.take(h, &s.first, (*lone).forget); err != nil {
				return err
			}
		}
	}
	for _, s := range sides {
		if err := s.alone.putBack(); err != nil {
			return err
		}
	}
	for round := range todo.rounds {
		shuffle()
		for _, s := range sides {
			if round%s.every != 0 {
				continue
			}
			if err := s.take(h, &s.later, (*lone).putBack); err != nil {
				return err
			}
		}
	}
	return nil
}

// take times one login. What undoes it is not timed.
func (s *side) take(h *host, times *[]time.Duration, undo func(*lone) error) error {
	took, err := s.login(h)
	if err != nil {
		return err
	}
	*times = append(*times, took)
	if err := s.through.note(); err != nil {
		return err
	}
	return undo(s.alone)
}

// quantile of an even number of values is the lower of the two.
func quantile[T cmp.Ordered](times []T, q float64) T {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[int(q*float64(len(sorted)-1))]
}
