package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// How logins in parallel are made: hosts at once, logins of each in a round.
// Everybody logs in three times, with the codes of the step before, of this
// one and of the next.
const (
	hosts   = 16
	perHost = 48
	each    = 3
)

// loadMargin is what a round may take at most before its earliest step is over.
const loadMargin = 8 * time.Second

// throughput is the part of the bench where hosts log in at the same time.
type throughput struct {
	rounds                   int
	google, resident, shared load
}

// load is one side of it. What it has are logins per second, one a round.
type load struct {
	label  string
	people []*person
	next   int
	rates  []float64
}

// newThroughput makes people who have logged in before: a first login makes
// files, and is not what is compared here.
func newThroughput(todo plan, etcd *sharedLedger) (*throughput, error) {
	n := todo.loads * hosts * perHost / each
	t := &throughput{rounds: todo.loads}
	known, err := google("throng", n)
	if err != nil {
		return nil, err
	}
	t.google = load{label: known.label, people: known.people}
	const site = "throng-of-residents"
	state := filepath.Join(sites, site, "state")
	users, err := otpgateSite(site, realCore, state)
	if err != nil {
		return nil, err
	}
	m, err := newModel(memory + "/throng-model")
	if err != nil {
		return nil, err
	}
	if err := enrollCrowd(users, filepath.Join(state, "users"), n, m); err != nil {
		return nil, err
	}
	through, err := residentService(site)
	if err != nil {
		return nil, err
	}
	t.resident.label = residentLabel
	for i := range n {
		t.resident.people = append(t.resident.people, &person{service: through, name: crowdName(i)})
	}
	other, err := etcd.site(throngSite, n, m)
	if err != nil {
		return nil, err
	}
	t.shared = load{label: other.label, people: other.people}
	return t, etcd.use(throngSite, other)
}

// play has the sides take turns, each beginning every other time.
func (t *throughput) play() error {
	end, err := startVerifiers(nil, []*side{{people: t.resident.people}, {people: t.shared.people, shared: true}})
	defer end()
	if err != nil {
		return err
	}
	sides := []*load{&t.google, &t.resident, &t.shared}
	for range t.rounds {
		for _, s := range sides {
			rate, err := s.round()
			if err != nil {
				return fmt.Errorf("%s in parallel: %w", s.label, err)
			}
			s.rates = append(s.rates, rate)
		}
		slices.Reverse(sides)
	}
	return nil
}

// round lets hosts start and log everybody in, and gives the logins per second.
func (s *load) round() (float64, error) {
	var running [hosts]*host
	for i := range running {
		h, err := startHost()
		if err != nil {
			return 0, err
		}
		defer func() { _ = h.in.Close(); _ = h.cmd.Wait() }()
		running[i] = h
	}
	awaitStep(loadMargin)
	work := make([][]*person, hosts)
	for i := range work {
		work[i] = s.people[s.next : s.next+perHost/each]
		s.next += perHost / each
	}
	var all sync.WaitGroup
	errs := make([]error, hosts)
	begin := time.Now()
	for i, h := range running {
		all.Go(func() { errs[i] = logAllIn(h, work[i]) })
	}
	all.Wait()
	return hosts * perHost / time.Since(begin).Seconds(), errors.Join(errs...)
}

func logAllIn(h *host, people []*person) error {
	for range each {
		for _, p := range people {
			code, err := p.nextCode()
			if err != nil {
				return err
			}
			if _, err := h.login(p.service, p.name, code); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *throughput) report(w io.Writer) {
	fmt.Fprintf(w, "\n%d hosts in parallel, %d logins of each in a round, %d rounds in turns\n", hosts, perHost, t.rounds)
	const line = "%-26s %14s %9s %9s\n"
	fmt.Fprintf(w, line, "logins per second", "median", "lowest", "highest")
	for _, s := range []*load{&t.google, &t.resident, &t.shared} {
		fmt.Fprintf(w, line, s.label, number(int(middle(s.rates))), number(int(slices.Min(s.rates))), number(int(slices.Max(s.rates))))
	}
	times := middle(t.resident.rates) / middle(t.google.rates)
	fmt.Fprintf(w, "\nnot a goal: resident, logins per second × pam_google_authenticator: %.2f\n", times)
}

func middle(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[(len(values)-1)/2]
}
