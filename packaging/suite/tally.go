package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// failures are the names of what failed: a test that has no test below it that
// failed too, a test that had not ended when its package did, or a package
// whose tests all passed.
func (r *round) failures() []string {
	var failed []string
	for name, p := range r.packages {
		if !p.failed {
			continue
		}
		before := len(failed)
		for test, end := range p.tests {
			if p.hasBelow(test) {
				continue
			}
			label := short(name) + " " + test
			if end == "" {
				label += " (had not ended)"
			}
			failed = append(failed, label)
		}
		if len(failed) == before {
			failed = append(failed, short(name)+" (not one of its tests)")
		}
	}
	slices.Sort(failed)
	return failed
}

func (p *result) hasBelow(test string) bool {
	for other := range p.tests {
		if strings.HasPrefix(other, test+"/") {
			return true
		}
	}
	return false
}

// tally has the rounds in which something failed.
type tally map[string][]int

func (t tally) add(round int, failed []string) {
	for _, name := range failed {
		t[name] = append(t[name], round)
	}
}

// report says what failed how often, and fails if anything did.
func (t tally) report(out io.Writer, s settings) error {
	if len(t) == 0 {
		if s.times > 1 {
			fmt.Fprintf(out, "nothing failed in %d rounds\n", s.times)
		}
		return nil
	}
	names := slices.Sorted(maps.Keys(t))
	slices.SortStableFunc(names, func(a, b string) int { return len(t[b]) - len(t[a]) })
	for _, name := range names {
		first := filepath.Join(s.logs, fmt.Sprintf("%03d", t[name][0]))
		fmt.Fprintf(out, "failed %d of %d: %s; output in %s\n", len(t[name]), s.times, name, first)
	}
	return errors.New("some tests failed")
}
