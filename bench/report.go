package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The goals, as the project sets them.
const (
	mostTimesGoogle         = 6.0
	mostTimesOne            = 1.1
	mostTimesPlain          = 1.03
	mostTimesLocal          = 2.5
	mostTrips               = 3.1 // three, and what waking up takes at each end
	mostTimesGoogleResident = 1.05
)

func (b *bench) report(w io.Writer, todo plan) {
	fmt.Fprintf(w, "%s, %s\n%d logins of each kind in turns (%d where pam_oath reads %s people)\n\n", time.Now().Format(time.DateOnly), machine(),
		todo.rounds, len(b.oath[len(b.oath)-1].later), number(todo.crowds[len(todo.crowds)-1]))
	const line = "%-26s %11s %8s %8s %9s %12s %15s\n"
	fmt.Fprintf(w, line, "one login, the code right", "people", "p50 ms", "p95 ms", "× google", "× oath "+number(todo.crowds[1]), "first login p50")
	row := func(s *side, people string) {
		fmt.Fprintf(w, line, s.label, people, ms(quantile(s.later, 0.5)), ms(quantile(s.later, 0.95)),
			fmt.Sprintf("%.2f", ratio(s, b.google)), fmt.Sprintf("%.2f", ratio(s, b.oath[1])), ms(quantile(s.first, 0.5)))
	}
	row(b.google, "1 each file")
	enrolled := append([]int{1}, todo.many...)
	for i, s := range b.resident {
		row(s, number(enrolled[i]))
	}
	row(b.secrets, "1")
	row(b.near, "1")
	row(b.far, "1")
	row(b.one, "1")
	row(b.encrypted, "1")
	row(b.many, number(todo.many[1]))
	for i, s := range b.oath {
		row(s, number(todo.crowds[i]))
	}
	b.reportParts(w)

	fmt.Fprintln(w)
	goal(w, "resident, × pam_google_authenticator", ratio(b.resident[0], b.google), mostTimesGoogleResident)
	for i, s := range b.resident[1:] {
		goal(w, "resident with "+number(todo.many[i])+" people, × with one", ratio(s, b.resident[0]), mostTimesOne)
	}
	// One person logs in again and again, of many each a few times, so the
	// fairer comparison for many may be with a thousand.
	for i, s := range b.resident[2:] {
		fmt.Fprintf(w, "not a goal: resident with %s people, × with %s: %.2f\n", number(todo.many[i+1]), number(todo.many[0]), ratio(s, b.resident[1]))
	}
	b.ownGoals(w)
	b.reportShared(w)
	goal(w, "forked, × pam_google_authenticator", ratio(b.one, b.google), mostTimesGoogle)
	goal(w, "forked with "+number(todo.many[1])+" people, × with one", ratio(b.many, b.one), mostTimesOne)
}

// reportOwn is the report of a run with otpgate's own sides alone.
func (b *bench) reportOwn(w io.Writer, todo plan) {
	fmt.Fprintf(w, "%s, %s\n%d logins of each kind in turns\n\n", time.Now().Format(time.DateOnly), machine(), todo.rounds)
	const line = "%-26s %8s %8s %8s %15s\n"
	// The fast ones are those that waited for nobody else on the machine.
	fmt.Fprintf(w, line, "one login, the code right", "p5 ms", "p50 ms", "p95 ms", "first login p50")
	for _, s := range []*side{b.resident[0], b.secrets, b.near, b.far, b.one, b.encrypted} {
		fmt.Fprintf(w, line, s.label, ms(quantile(s.later, 0.05)), ms(quantile(s.later, 0.5)), ms(quantile(s.later, 0.95)), ms(quantile(s.first, 0.5)))
	}
	fmt.Fprintln(w)
	b.ownGoals(w)
	fmt.Fprintf(w, "not a goal: by a distant one, the fewest round trips of a login: %.2f\n", b.ways(0))
	fast := b.trips(0.05)
	b.reportShared(w)
	fmt.Fprintf(w, "not a goal: of the fastest twentieth of each, by a server on this machine × resident %.2f, round trips more %.2f\n",
		float64(quantile(b.near.later, 0.05))/float64(quantile(b.resident[0].later, 0.05)), fast)
}

// trip is how long a round trip was.
func (b *bench) trip(q float64) time.Duration {
	return quantile(b.far.through.took[len(b.far.first):], q) / 3
}

// trips is how many round trips a login by the distant server takes longer.
func (b *bench) trips(q float64) float64 {
	return float64(quantile(b.far.later, q)-quantile(b.near.later, q)) / float64(b.trip(q))
}

// ways is how often a login by the distant server went there and back.
func (b *bench) ways(q float64) float64 {
	return float64(quantile(b.far.through.ways[len(b.far.first):], q)) / 2
}

// ownGoals are those of otpgate beside otpgate.
func (b *bench) ownGoals(w io.Writer) {
	goal(w, "by a server on this machine, × resident", ratio(b.near, b.resident[0]), mostTimesLocal)
	goal(w, "by a distant one, round trips, as counted between the two", b.ways(0.95), 3)
	goal(w, fmt.Sprintf("by one %s ms away, round trips more than by one on this machine", ms(b.trip(0.5))), b.trips(0.5), mostTrips)
	goal(w, "resident with encrypted secrets, × without", ratio(b.secrets, b.resident[0]), mostTimesPlain)
	goal(w, "forked with encrypted secrets, × without", ratio(b.encrypted, b.one), mostTimesPlain)
}

// reportParts takes both ways apart.
func (b *bench) reportParts(w io.Writer) {
	var before time.Duration
	part := func(s *side, label string) {
		now := quantile(s.later, 0.5)
		fmt.Fprintf(w, "%-68s %8s\n", label, ms(now-before))
		before = now
	}
	fmt.Fprintln(w, "\nwhere the resident verifier's time goes, in ms: each line is the difference of two medians")
	part(b.bare, "libpam and the host")
	part(b.relayed, "front, socket, frames, wake-ups")
	part(b.kept, "secret file, code, ledger without a disk, audit line")
	part(b.resident[0], "waiting for the disk")

	before = 0
	fmt.Fprintln(w, "\nwhere the forked core's time goes")
	part(b.bare, "libpam and the host")
	part(b.instant, "fork, set-up of the child, frames, its end")
	part(b.hollow, "loading the Go library, start of its runtime, the end of its threads")
	part(b.memory, "configuration, secret file, code, ledger without a disk, audit line")
	part(b.one, "waiting for the disk")
}

func goal(w io.Writer, what string, found, most float64) {
	verdict := "met"
	if found > most {
		verdict = "MISSED"
	}
	fmt.Fprintf(w, "goal %s: %s: %.2f, at most %.2f\n", verdict, what, found, most)
}

func ratio(s, to *side) float64 {
	return float64(quantile(s.later, 0.5)) / float64(quantile(to.later, 0.5))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }

// number groups digits, which tells 10000 from 100000.
func number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
}

// machine says what the figures are of.
func machine() string {
	cpu := field("/proc/cpuinfo", "model name")
	load := "?"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	var name unix.Utsname
	_ = unix.Uname(&name) // shown only
	release := unix.ByteSliceToString(name.Release[:])
	return fmt.Sprintf("%s, %d processors, load %s, Linux %s, %s, %s", cpu, runtime.NumCPU(), load, release, filesystem(), runtime.Version())
}

// field finds the first line "name : value" of a file.
func field(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unknown " + name
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown " + name
}

// filesystem names the type and source of the disk, from the line of its mount.
func filesystem() string {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown disk"
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 3 && words[1] == disk {
			return words[2] + " on " + words[0]
		}
	}
	return "unknown disk"
}
