// Command bench times logins with a code through real libpam: otpgate's forked
// core and its resident verifier side by side with pam_google_authenticator and pam_oath, all on one
// disk, in turns, in one run. It also shows where otpgate's time goes.
//
// It runs in the source tree after make build and needs root: it mounts a /dev
// and a /run of its own, so that nothing of the machine is touched but
// build/bench. With -quick it does little of everything, to show that the
// bench itself works; its figures say nothing. With -own it takes a minute, and has
// only what servers decide and encrypted secrets, beside the same without.
//
// docs/performance.md explains the rows.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// plan is how much is done.
type plan struct {
	rounds int   // of one login a side
	many   []int // people enrolled with otpgate where there are many; forked: the second
	crowds []int
	loads  int // rounds of logins in parallel
	slow   int // a side with a large pam_oath file takes part in each slow-th round
	own    bool
}

var (
	full  = plan{rounds: 600, many: []int{1_000, 100_000}, crowds: []int{1, 1_000, 100_000}, loads: 9, slow: 12}
	quick = plan{rounds: 6, many: []int{400, 500}, crowds: []int{1, 100, 200}, loads: 1, slow: 3}
)

// insideVariable tells the program that it runs in its own mounts.
const insideVariable = "OTPGATE_BENCH_INSIDE"

func main() {
	fast := flag.Bool("quick", false, "do little of everything, to show that the bench works")
	million := flag.Bool("million", false, "also enroll 1,000,000 people, whose files take 12 GB and are kept in build/bench")
	own := flag.Bool("own", false, "only what servers decide, and encrypted secrets, beside otpgate without")
	far := flag.String("distance", "", "be the distance to the server at this `address`; for the bench itself")
	hollow := flag.String("hollow-verifier", "", "be a resident verifier without an engine at this `socket`; for the bench itself")
	flag.Parse()
	if *hollow != "" {
		fmt.Fprintln(os.Stderr, "bench:", serveHollow(*hollow))
		os.Exit(1)
	}
	if *far != "" {
		if err := serveDistance(*far); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: expected no arguments")
		os.Exit(2)
	}
	todo := full
	if *fast {
		todo, margin = quick, quickMargin
	}
	todo.own = *own
	if *million {
		todo.many = append(slices.Clone(todo.many), 1_000_000)
	}
	if err := run(todo); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(todo plan) error {
	if os.Getenv(insideVariable) == "" {
		if os.Geteuid() != 0 {
			return fmt.Errorf("running as uid %d, expected root: the modules run as root in a daemon, and the bench makes mounts of its own", os.Geteuid())
		}
		tree, err := builtTree()
		if err != nil {
			return err
		}
		dir := filepath.Join(tree, "build", "bench")
		unlock, err := lock(dir)
		if err != nil {
			return err
		}
		defer unlock()
		if err := build(tree, dir); err != nil {
			return err
		}
		return runInside(dir)
	}
	if err := mounts(os.Getenv(insideVariable)); err != nil {
		return err
	}
	if err := drainLog(); err != nil {
		return err
	}
	return measure(todo)
}

// builtTree is the source tree, in which the bench has to run.
func builtTree() (string, error) {
	tree, err := filepath.Abs(".")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"go.mod", "build/pam_otpgate.so", "build/" + coreFile, "build/" + verifierFile, "build/" + gatewayFile, "build/" + ledgerdFile} {
		if _, err := os.Stat(filepath.Join(tree, name)); err != nil {
			return "", fmt.Errorf("%w; run make build, and the bench in the top directory of the source tree", err)
		}
	}
	return tree, nil
}

// lock makes the directory, and waits for another bench that uses it.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	held, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { held.Close() }, nil
}

const (
	coreFile     = "pam_otpgate_core.so"
	verifierFile = "otpgate-verifierd"

	realCore    = "core"
	hollowCore  = "hollow"
	instantCore = "instant"
)

// build puts the host and the cores beside each other: the front loads the
// core that lies in its own directory.
func build(tree, dir string) error {
	for _, core := range []string{realCore, hollowCore, instantCore} {
		to := filepath.Join(dir, core)
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
		if err := command("cp", "build/pam_otpgate.so", to); err != nil {
			return err
		}
	}
	// The hollow core is the real one with another main.go.
	overlay := map[string]map[string]string{"Replace": {
		filepath.Join(tree, "pam_module/core/main.go"): filepath.Join(tree, "bench/hollow/main.go"),
	}}
	text, err := json.Marshal(overlay)
	if err != nil {
		return err
	}
	if err := write(dir+"/overlay.json", string(text)); err != nil {
		return err
	}
	const front = "pam_module/front"
	host, err := filepath.Glob(front + "/test/pamhost/*.c")
	if err != nil {
		return err
	}
	for _, words := range [][]string{
		slices.Concat([]string{"gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-o", dir + "/pamhost", front + "/test/pamclock.c"}, host, []string{"-lpam", "-lpthread", "-ldl"}),
		{"gcc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", "-I" + front, "-o", dir + "/" + instantCore + "/" + coreFile, "bench/instant/instant.c"},
		{cmp.Or(os.Getenv("GO"), "go"), "build", "-buildvcs=false", "-buildmode=c-shared", "-ldflags", "-s -w", "-overlay", dir + "/overlay.json",
			"-o", dir + "/hollow.so", "./pam_module/core"},
		// Copied like the real one: what the linker leaves in the page cache is
		// in smaller pieces and costs 0.3 ms more to load.
		{"cp", dir + "/hollow.so", dir + "/" + hollowCore + "/" + coreFile},
		{"cp", "build/" + coreFile, dir + "/" + realCore},
		{"cp", "build/" + verifierFile, "build/" + gatewayFile, "build/" + ledgerdFile, dir},
	} {
		if err := command(words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

func command(name string, args ...string) error {
	if output, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// runInside runs the program again with a mount table of its own.
func runInside(dir string) error {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	// In a chroot the kernel names /proc/self/exe from outside, so whoever has to
	// start this program again goes by the name that it was started with.
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		return err
	}
	cmd.Args[0] = self
	cmd.Env = append(os.Environ(), insideVariable+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.New("no result")
	}
	return err
}
