package machine

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// kept is every password, secret and code of this run: none of them may turn
// up where an admin or a backup could read it.
var kept = struct {
	sync.Mutex
	texts map[string]bool
}{texts: map[string]bool{}}

func keep(texts ...string) {
	kept.Lock()
	defer kept.Unlock()
	for _, text := range texts {
		kept.texts[text] = true
	}
}

// Keep adds a secret that a test made itself to those that must not leak.
func Keep(texts ...string) { keep(texts...) }

// word is what a code stands in by itself: six digits within a longer number
// or a hash are chance.
var word = regexp.MustCompile(`[[:alnum:]]+`)

// leaks returns the kept texts that are in data.
func leaks(data []byte) []string {
	kept.Lock()
	defer kept.Unlock()
	var found []string
	for _, match := range word.FindAll(data, -1) {
		if kept.texts[string(match)] {
			found = append(found, string(match))
		}
	}
	// Passwords here have a dash, which ends a word.
	for text := range kept.texts {
		if len(text) > 10 && bytes.Contains(data, []byte(text)) {
			found = append(found, text)
		}
	}
	return found
}

// Leaks looks for every password, secret and code of this run in syslog and in
// all files below dirs, and says where it found one.
func Leaks(dirs ...string) []string {
	var found []string
	for _, line := range Log.Lines() {
		if leaked := leaks([]byte(line.Text)); len(leaked) > 0 {
			found = append(found, fmt.Sprintf("syslog has %q: %s", leaked, line.Text))
		}
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if leaked := leaks(append(data, " "+strings.ReplaceAll(path, "/", " ")...)); len(leaked) > 0 {
				found = append(found, fmt.Sprintf("%s has %q", path, leaked))
			}
			return err
		})
		if err != nil {
			found = append(found, fmt.Sprintf("cannot look into %s: %v", dir, err))
		}
	}
	return found
}
