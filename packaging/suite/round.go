package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// event is a line of go test -json, see go doc test2json.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a build
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// round is one run of everything.
type round struct {
	out   io.Writer
	begun time.Time

	mu       sync.Mutex
	running  map[string]time.Time // packages
	packages map[string]*result
	builds   map[string]*strings.Builder
}

// result is what became of a package.
type result struct {
	output []said
	// tests are those that have begun and not passed, with how they ended: ""
	// while they have not.
	tests  map[string]string
	failed bool
	build  string // that failed
}

// said is a line of a package's output, and the test that it is of, if any.
type said struct{ test, text string }

func newRound(out io.Writer) *round {
	return &round{out: out, begun: time.Now(), running: map[string]time.Time{}, packages: map[string]*result{}, builds: map[string]*strings.Builder{}}
}

// goCommand is the go of the makefile.
func goCommand() string { return cmp.Or(os.Getenv("GO"), "go") }

// list says which packages the patterns name.
func list(patterns []string) ([]string, error) {
	cmd := exec.Command(goCommand(), append([]string{"list"}, patterns...)...)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	return strings.Fields(string(output)), nil
}

// goTest runs go with args and tells of what it says.
func (r *round) goTest(args []string) error {
	cmd := exec.Command(goCommand(), args...)
	// Else each program with the race detector sleeps for a second at its end.
	cmd.Env = append(os.Environ(), "GORACE="+cmp.Or(os.Getenv("GORACE"), "atexit_sleep_ms=10"))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case <-tick.C:
				r.say(r.inWork())
			case <-over:
				return
			}
		}
	}()
	readErr := r.read(stdout)
	return errors.Join(readErr, cmd.Wait())
}

// read takes events until there are no more.
func (r *round) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			// What go says beside its events is for people.
			r.say(lines.Text())
			continue
		}
		r.take(e)
	}
	return lines.Err()
}

func (r *round) take(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Action {
	case "build-output":
		if r.builds[e.ImportPath] == nil {
			r.builds[e.ImportPath] = &strings.Builder{}
		}
		r.builds[e.ImportPath].WriteString(e.Output)
		return
	case "build-fail":
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &result{tests: map[string]string{}}
		r.packages[e.Package] = p
	}
	switch e.Action {
	case "start":
		r.running[e.Package] = time.Now()
	case "output":
		p.output = append(p.output, said{e.Test, e.Output})
	case "run":
		p.tests[e.Test] = ""
	case "pass", "skip", "fail":
		if e.Test != "" {
			p.ended(e)
			return
		}
		delete(r.running, e.Package)
		p.failed, p.build = e.Action == "fail", e.FailedBuild
		r.tell(e, p)
	}
}

// ended notes how a test did.
func (p *result) ended(e event) {
	if e.Action == "fail" {
		p.tests[e.Test] = "fail"
		return
	}
	delete(p.tests, e.Test)
}

// tell says how a package did, and what was said by those of its tests that did not pass.
// The caller holds mu.
func (r *round) tell(e event, p *result) {
	switch {
	case !p.failed && e.Action == "skip":
		return // has no tests
	case !p.failed && p.cached():
		r.line("ok    %s (cached)", short(e.Package))
	case !p.failed:
		r.line("ok    %s %.0fs", short(e.Package), e.Elapsed)
	default:
		r.line("FAIL  %s %.0fs", short(e.Package), e.Elapsed)
		fmt.Fprint(r.out, r.text(p, func(test string) bool {
			_, open := p.tests[test]
			return open || test == ""
		}))
	}
}

func (p *result) cached() bool {
	return slices.ContainsFunc(p.output, func(line said) bool { return strings.HasSuffix(line.text, "\t(cached)\n") })
}

// text is what the tests for which wanted holds said in a package that failed, or the
// output of the build that did. What a package says outside of its tests is of "".
func (r *round) text(p *result, wanted func(test string) bool) string {
	var text strings.Builder
	if build := r.builds[p.build]; build != nil {
		text.WriteString(build.String())
	}
	for _, line := range p.output {
		if wanted(line.test) {
			text.WriteString(line.text)
		}
	}
	return text.String()
}

// inWork names what is running.
func (r *round) inWork() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.running) == 0 {
		return fmt.Sprintf("building; %d packages have begun", len(r.packages))
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.running)) {
		parts = append(parts, fmt.Sprintf("%s for %.0fs", short(name), time.Since(r.running[name]).Seconds()))
	}
	return "running " + strings.Join(parts, ", ")
}

func (r *round) say(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.line("%s", text)
}

func (r *round) line(format string, args ...any) {
	took := time.Since(r.begun).Round(time.Second)
	fmt.Fprintf(r.out, "%2d:%02d  %s\n", int(took.Minutes()), int(took.Seconds())%60, fmt.Sprintf(format, args...))
}

// short is a package's name without the module's.
func short(name string) string {
	return cmp.Or(strings.TrimPrefix(strings.TrimPrefix(name, "github.com/otpgate/otpgate"), "/"), ".")
}

// keep writes the output of each package that failed below dir.
func (r *round) keep(dir string) error {
	for name, p := range r.packages {
		if !p.failed {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		path := filepath.Join(dir, strings.ReplaceAll(short(name), "/", "_")+".log")
		if err := os.WriteFile(path, []byte(r.text(p, func(string) bool { return true })), 0o644); err != nil {
			return err
		}
	}
	return nil
}
