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
	mostTimesGoogle = 6.0
	mostTimesOne    = 1.1
)

func (b *bench) report(w io.Writer, todo plan) {
	fmt.Fprintf(w, "%s, %s\n%d logins of each kind in turns (%d where pam_oath reads %s people)\n\n", time.Now().Format(time.DateOnly), machine(),
		todo.rounds, len(b.oath[len(b.oath)-1].later), number(todo.crowds[len(todo.crowds)-1]))
	const line = "%-26s %11s %9s %9s %9s %20s\n"
	fmt.Fprintf(w, line, "one login, the code right", "people", "p50 ms", "p95 ms", "× google", "first login p50 ms")
	row := func(s *side, people string) {
		fmt.Fprintf(w, line, s.label, people, ms(quantile(s.later, 0.5)), ms(quantile(s.later, 0.95)),
			fmt.Sprintf("%.1f", ratio(s, b.google)), ms(quantile(s.first, 0.5)))
	}
	row(b.google, "1 each file")
	row(b.one, "1")
	row(b.many, number(todo.many))
	for i, s := range b.oath {
		row(s, number(todo.crowds[i]))
	}

	fmt.Fprintln(w, "\nwhere otpgate's time goes, in ms: each line is the difference of two medians")
	var before time.Duration
	part := func(s *side, label string) {
		now := quantile(s.later, 0.5)
		fmt.Fprintf(w, "%-68s %8s\n", label, ms(now-before))
		before = now
	}
	part(b.bare, "libpam and the host")
	part(b.instant, "fork, set-up of the child, frames, its end")
	part(b.hollow, "loading the Go library, start of its runtime, the end of its threads")
	part(b.memory, "configuration, secret file, code, ledger without a disk, audit line")
	part(b.one, "waiting for the disk")

	fmt.Fprintln(w)
	goal(w, "otpgate, × pam_google_authenticator", ratio(b.one, b.google), mostTimesGoogle)
	goal(w, "otpgate with "+number(todo.many)+" people, × with one", ratio(b.many, b.one), mostTimesOne)
}

func goal(w io.Writer, what string, found, most float64) {
	verdict := "met"
	if found > most {
		verdict = "MISSED"
	}
	fmt.Fprintf(w, "goal %s: %s: %.2f, at most %.1f\n", verdict, what, found, most)
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
