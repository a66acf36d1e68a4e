package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// kept is every password, secret and code of this run: none of them may turn
// up where an admin or a backup could read it.
var kept = secrets{texts: map[string]bool{}}

type secrets struct {
	mu    sync.Mutex
	texts map[string]bool
}

func (s *secrets) keep(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		s.texts[text] = true
	}
}

// Keep adds secrets to those that must not leak.
func Keep(texts ...string) { kept.keep(texts...) }

// long is the length from which on a text is found within others too: no
// password or key of twelve letters is there by chance. What is shorter is a
// code, which stands by itself: six digits within a longer number or a hash
// are chance.
const long = 12

// word is what a code stands in by itself.
var word = regexp.MustCompile(`[[:alnum:]]+`)

// in returns the kept texts that are in data, which came from numbers.go.
func (s *secrets) in(data []byte) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for _, match := range word.FindAll(withoutNumbers(data), -1) {
		if text := string(match); len(text) < long && s.texts[text] {
			found = append(found, text)
		}
	}
	for text := range s.texts {
		if len(text) >= long && bytes.Contains(data, []byte(text)) {
			found = append(found, text)
		}
	}
	return found
}

// place is a text in which no secret may be.
type place struct {
	name string
	data []byte
}

// Leaks looks for every password, secret and code of this run in syslog, in
// what the programs under test wrote to standard error, in their arguments as
// far as those were seen, and in all files below dirs, and says where it found
// one. It also says so if it could have found one by chance.
func Leaks(dirs ...string) []string {
	places, err := placesOf(dirs)
	found := kept.leaks(places)
	if err != nil {
		found = append(found, err.Error())
	}
	return found
}

func (s *secrets) leaks(places []place) []string {
	var found []string
	var by chance
	for _, p := range places {
		if leaked := s.in(p.data); len(leaked) > 0 {
			found = append(found, fmt.Sprintf("%s has %q: %s", p.name, leaked, excerpt(p.data)))
		}
		by.look(p)
	}
	if odds := by.odds(s); odds > mostOdds {
		found = append(found, fmt.Sprintf("nothing certain: a code of this run is found by chance in one run of %.0f, expected one of %.0f at most, with %d random bytes and so many codes by their length: %v; numbers.go does not account for %q",
			1/odds, 1/mostOdds, by.random, s.codes(), by.unaccounted(s)))
	}
	return found
}

// excerpt is a line as it is, and of a file its size.
func excerpt(data []byte) string {
	if bytes.ContainsAny(data, "\n\x00") {
		return fmt.Sprintf("%d bytes", len(data))
	}
	return string(data)
}

func placesOf(dirs []string) ([]place, error) {
	var places []place
	for _, line := range Log.Lines() {
		places = append(places, place{"syslog", []byte(line.Text)})
	}
	places = append(places, outputs.all()...)
	places = append(places, arguments.all()...)
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				var data []byte
				data, err = os.ReadFile(path)
				places = append(places, place{path, data}, place{"the name of " + path, []byte(strings.ReplaceAll(path, "/", " "))})
			}
			if path != dir && errors.Is(err, fs.ErrNotExist) {
				return nil // a program that is still ending has taken it away meanwhile
			}
			return err
		})
		if err != nil {
			return places, fmt.Errorf("cannot look into %s: %w", dir, err)
		}
	}
	return places, nil
}

// PutEntriesAway searches the ledger's entries of a site of very many people for the
// secrets that are kept by now, and takes them away: their hashes would make it too
// likely that a code is found at the end by chance.
func PutEntriesAway(t T, site Site) {
	t.Helper()
	entries, err := filepath.Glob(site.State + "/*/*")
	if err != nil || len(entries) == 0 {
		t.Fatalf("%s has no entries: %v", site.State, err)
	}
	for _, path := range entries {
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatalf("entry: %v", err)
		}
		if leaked := kept.in(data); len(leaked) > 0 {
			t.Errorf("%s has %q", path, leaked)
		}
	}
}

// outputs are what programs under test wrote to standard error.
var outputs seen

// KeepOutput has what a program said searched for those.
func KeepOutput(of, text string) { outputs.add(of, text) }

// arguments are those with which they ran.
var arguments seen

// seen is texts, each once.
type seen struct {
	mu    sync.Mutex
	texts []place
}

func (s *seen) add(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, had := range s.texts {
		if had.name == name && string(had.data) == text {
			return
		}
	}
	s.texts = append(s.texts, place{name, []byte(text)})
}

func (s *seen) all() []place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.texts)
}

// watchArguments looks again and again with which arguments the programs under
// test run. It sees all that run for a while, and of the others those of some:
// one that is given a code each time is seen in the end.
func watchArguments() {
	for {
		lookAtArguments("/proc", Files)
		time.Sleep(500 * time.Millisecond)
	}
}

// lookAtArguments notes those of each process whose program is in dir. An admin
// may give codes to otpctl; the others are given none.
func lookAtArguments(proc, dir string) {
	processes, err := filepath.Glob(proc + "/[0-9]*")
	if err != nil {
		return
	}
	for _, process := range processes {
		// A process may end meanwhile, and what is gone has no program.
		program, err := os.Readlink(process + "/exe")
		if err != nil || filepath.Dir(program) != dir || !strings.HasPrefix(filepath.Base(program), "otpgate-") {
			continue
		}
		if line, err := os.ReadFile(process + "/cmdline"); err == nil {
			arguments.add("arguments of "+filepath.Base(program), strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}
