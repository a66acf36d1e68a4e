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

// finder finds those of many texts that are in another one, which it reads once: a run
// keeps thousands of secrets, and has tens of thousands of lines and files.
type finder struct {
	few      []string // shorter than a beginning
	begin    map[[beginning]byte][]string
	may      []uint64 // a bit for each hash of a beginning
	shortest int      // of the texts that are numbers; 0 if there is none
}

// beginning is how many bytes of a text are looked for first.
const beginning = 4

const hashBits = 20

func hashOf(data []byte) uint32 {
	n := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
	return n * 2654435761 >> (32 - hashBits)
}

// finder is for the texts that are kept by now.
func (s *secrets) finder() *finder {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &finder{begin: map[[beginning]byte][]string{}, may: make([]uint64, 1<<hashBits/64)}
	for text := range s.texts {
		f.add(text)
	}
	return f
}

func (f *finder) add(text string) {
	data := []byte(text)
	if text != "" && len(text) < long && isNumber(data) && (f.shortest == 0 || len(text) < f.shortest) {
		f.shortest = len(text)
	}
	if len(data) < beginning {
		f.few = append(f.few, text)
		return
	}
	begin := [beginning]byte(data)
	f.begin[begin] = append(f.begin[begin], text)
	hash := hashOf(data)
	f.may[hash/64] |= 1 << (hash % 64)
}

// within are the texts that stand anywhere in data, each once.
func (f *finder) within(data []byte) (found []string) {
	for _, text := range f.few {
		if bytes.Contains(data, []byte(text)) {
			found = append(found, text)
		}
	}
	for at := 0; at+beginning <= len(data); at++ {
		hash := hashOf(data[at:])
		if f.may[hash/64]&(1<<(hash%64)) == 0 {
			continue
		}
		for _, text := range f.begin[[beginning]byte(data[at:])] {
			if rest := data[at:]; len(rest) >= len(text) && string(rest[:len(text)]) == text && !slices.Contains(found, text) {
				found = append(found, text)
			}
		}
	}
	return found
}

// in are the texts that data, which came from numbers.go, must not have: the long ones
// anywhere, the others as words. What is taken out of data cuts it, and joins nothing, so
// that a word of what is left is one text of it.
func (f *finder) in(data []byte) (found []string) {
	short := map[string]bool{}
	for _, text := range f.within(data) {
		if len(text) >= long {
			found = append(found, text)
		} else {
			short[text] = true
		}
	}
	if len(short) == 0 {
		return found
	}
	for _, match := range word.FindAll(withoutNumbers(data), -1) {
		if text := string(match); short[text] {
			found = append(found, text)
		}
	}
	return found
}

// hasNumber says whether as many digits follow each other as any code has.
func (f *finder) hasNumber(data []byte) bool {
	digits := 0
	for _, b := range data {
		if b < '0' || b > '9' {
			digits = 0
		} else if digits++; f.shortest > 0 && digits >= f.shortest {
			return true
		}
	}
	return false
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
	finder := s.finder()
	by := chance{finder: finder}
	for _, p := range places {
		if leaked := finder.in(p.data); len(leaked) > 0 {
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
	finder := kept.finder()
	for _, path := range entries {
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatalf("entry: %v", err)
		}
		if leaked := finder.in(data); len(leaked) > 0 {
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
