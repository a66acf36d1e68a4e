package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// pair is a value for sftpd with a worker per session, and one for a worker
// per user.
type pair [2]float64

func both(value float64) pair { return pair{value, value} }

// row is one figure of each server. Goals are ratios to OpenSSH, 0 for none.
type row struct {
	name    string
	unit    string
	more    bool // more is better
	goal    pair
	cpuGoal pair // of the server's processor time for the same work
	times   func(s *server) (float64, error)
}

// result is what was found, for each server.
type result struct {
	row
	figures []float64
	cpu     []float64 // seconds
}

// measure measures a row in turns, the order rotated.
func (b *bench) measure(r row) (result, error) {
	figures, cpu := make([][]float64, len(b.servers)), make([][]float64, len(b.servers))
	for round := range b.plan.rounds {
		for i := range b.servers {
			i = (i + round) % len(b.servers)
			s := b.servers[i]
			figure, used, err := s.measure(r)
			if err != nil {
				return result{}, fmt.Errorf("%s: %w", s.name, err)
			}
			figures[i], cpu[i] = append(figures[i], figure), append(cpu[i], used)
		}
	}
	found := result{row: r}
	for i := range b.servers {
		found.figures, found.cpu = append(found.figures, median(figures[i])), append(found.cpu, median(cpu[i]))
	}
	return found, nil
}

// measure is one figure and the server's processor time for one unit of work.
func (s *server) measure(r row) (figure, used float64, err error) {
	before, err := s.group.settled()
	if err != nil {
		return 0, 0, err
	}
	s.done = 1
	if figure, err = r.times(s); err != nil {
		return 0, 0, err
	}
	after, err := s.group.settled()
	return figure, (after - before) / s.done, err
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func (b *bench) heading() {
	load, _ := os.ReadFile("/proc/loadavg") // shown only
	fmt.Printf("load %s\n%-30s %18s", strings.TrimSpace(string(load)), "median of the row, server's CPU", b.servers[0].name)
	for _, s := range b.servers[1:] {
		fmt.Printf(" %33s", s.name)
	}
	fmt.Println()
}

func (b *bench) show(r result) {
	fmt.Printf("%-30s %8.3f %-5s %6.3f s", r.name, r.figures[0], r.unit, r.cpu[0])
	for i := range b.servers[1:] {
		fmt.Printf(" %9.3f %5.2fx %8.3f s %5.2fx", r.figures[i+1], r.figures[i+1]/r.figures[0], r.cpu[i+1], r.cpu[i+1]/r.cpu[0])
	}
	fmt.Println()
}

// judge says of each goal whether it is met.
func (b *bench) judge() {
	fmt.Println()
	for _, r := range b.results {
		for i, s := range b.servers[1:] {
			verdict(r.name+", "+s.name, r.figures[i+1]/r.figures[0], r.goal[i], r.more)
			verdict(r.name+", "+s.name+", server's CPU", r.cpu[i+1]/r.cpu[0], r.cpuGoal[i], false)
		}
	}
	for _, g := range b.countGoals {
		verdict(g.what, g.found, g.most, false)
	}
}

func verdict(what string, ratio, goal float64, more bool) {
	if goal == 0 {
		return
	}
	bound, word := "at most", "met"
	if more {
		bound = "at least"
	}
	// Neither is met by a figure that is none.
	if more && !(ratio >= goal) || !more && !(ratio <= goal) {
		word = "MISSED"
	}
	fmt.Printf("goal %s: %s: %.2f, %s %.2f\n", word, what, ratio, bound, goal)
}
