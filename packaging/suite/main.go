// Command suite runs the tests and says what it is doing: a line for each
// package when it is done, and one every half minute of what is still running.
//
// The entry point is [run]. With -times it runs them again and again, each
// time in another order if -shuffle is set and beside busy threads if -load is,
// and says in the end which test failed how often. It promises that nothing is
// run twice to make it pass: one failure in any round is a failure of the whole.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings are the flags.
type settings struct {
	times, load int
	shuffle     bool
	test        string
	logs        string
	packages    []string
}

func main() {
	var s settings
	flag.IntVar(&s.times, "times", 1, "how often to run everything")
	flag.IntVar(&s.load, "load", 0, "how many threads compute beside the tests")
	flag.BoolVar(&s.shuffle, "shuffle", false, "run the tests of a package in another order each time, and never take an old result")
	flag.StringVar(&s.test, "run", "", "run only the tests that this matches, as of go test")
	flag.StringVar(&s.logs, "logs", "build/failed", "directory that gets the output of packages that failed")
	flag.Parse()
	if s.packages = flag.Args(); len(s.packages) == 0 {
		s.packages = []string{"./..."}
	}
	if s.times < 1 || s.load < 0 {
		fmt.Fprintln(os.Stderr, "suite: expected -times of 1 or more and -load of 0 or more")
		os.Exit(2)
	}
	if err := run(s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(1)
	}
}

// run runs all rounds and tells out of them.
func run(s settings, out io.Writer) error {
	// What failed before is no finding of this run.
	if err := os.RemoveAll(s.logs); err != nil {
		return err
	}
	if err := os.MkdirAll(s.logs, 0o755); err != nil {
		return err
	}
	packages, err := list(s.packages)
	if err != nil {
		return err
	}
	stop := busy(s.load)
	defer stop()
	count := tally{}
	for n := 1; n <= s.times; n++ {
		if s.times > 1 {
			fmt.Fprintf(out, "round %d of %d, beside %d busy threads\n", n, s.times, s.load)
		}
		r := newRound(out)
		err := r.all(s, packages)
		if err := r.keep(filepath.Join(s.logs, fmt.Sprintf("%03d", n))); err != nil {
			return err
		}
		failed := r.failures()
		if err != nil && len(failed) == 0 {
			return err
		}
		count.add(n, failed)
	}
	return count.report(out, s)
}

// plain are the packages that the race detector is no use to, and whatever is
// below them: what they test are programs that are built apart and run as
// processes of their own, and the tests themselves mostly wait for those.
var plain = []string{"e2e", "packaging", "bench", "pam_module/front"}

// sequential are packages of which nothing runs beside anything else, nor of what they
// import of ours, nor of their tests: the race detector would look for what cannot be,
// and make their computing five times as long.
var sequential = []string{"internal/doctor/authstack", "internal/factor", "internal/pamstack", "internal/tokenfile"}

// longest are the packages that take more than twenty seconds, in this order. They begin
// first, so that none of them runs alone in the end, when a processor would be idle.
var longest = []string{
	"internal/doctor", "internal/ledger/etcdledger", "pam_module/verifierd", "ledgerd", "internal/portal", "internal/account/casaccount",
	"internal/gate", "internal/ledger/ledgermove", "otpctl", "internal/rollout", "internal/ledger/ledgersocket", "internal/sftp",
	"e2e", "packaging/package", "pam_module/front/fronttest", "packaging/boot", "bench/sftp", "bench",
}

// byLength puts the longest packages first, and leaves the others in their order.
func byLength(packages []string) []string {
	place := func(name string) int {
		if i := slices.Index(longest, short(name)); i >= 0 {
			return i
		}
		return len(longest)
	}
	packages = slices.Clone(packages)
	slices.SortStableFunc(packages, func(a, b string) int { return place(a) - place(b) })
	return packages
}

// all runs the packages by the race detector, and then the plain ones.
func (r *round) all(s settings, packages []string) error {
	var raced, others []string
	for _, name := range byLength(packages) {
		isPlain := slices.ContainsFunc(plain, func(dir string) bool { return strings.HasPrefix(short(name)+"/", dir+"/") })
		if isPlain || slices.Contains(sequential, short(name)) {
			others = append(others, name)
			continue
		}
		raced = append(raced, name)
	}
	var errs []error
	for _, part := range []struct {
		flags, packages []string
	}{{[]string{"-race"}, raced}, {nil, others}} {
		if len(part.packages) > 0 {
			errs = append(errs, r.goTest(s.arguments(part.flags, part.packages)))
		}
	}
	return errors.Join(errs...)
}

// arguments are those of go test. Tests wait for other programs often, so that one
// package more than there are processors keeps those busy. Lint vets all, and no
// debugger looks at what is linked.
func (s settings) arguments(flags, packages []string) []string {
	args := append([]string{"test", "-json", "-timeout", "40m", "-vet", "off", "-ldflags", "-w", "-p", strconv.Itoa(runtime.NumCPU() + 1)}, flags...)
	if s.shuffle {
		args = append(args, "-shuffle", "on", "-count", "1")
	}
	if s.test != "" {
		args = append(args, "-run", s.test)
	}
	return append(args, packages...)
}

// every is how often it is said what is running.
const every = 30 * time.Second
