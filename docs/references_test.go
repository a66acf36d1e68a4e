package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A test that a document names must be there; "TestSplit…" are all that begin so.
func TestNamedTests(t *testing.T) {
	var there []string
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		// Others make and remove directories there meanwhile.
		if err == nil && entry.IsDir() && (path == "../.git" || path == "../build") {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range declared.FindAllStringSubmatch(string(text), -1) {
			there = append(there, found[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named, n := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+…?`), 0
	for page, text := range documents(t) {
		for _, found := range named.FindAllStringSubmatch(text, -1) {
			name, begins := strings.CutSuffix(found[0], "…")
			n++
			if !slices.ContainsFunc(there, func(test string) bool { return test == name || begins && strings.HasPrefix(test, name) }) {
				t.Errorf("%s: there is no %s", page, found[0])
			}
		}
	}
	if n < 100 {
		t.Errorf("found only %d names of tests", n)
	}
}

// A link leads to a page that is there, and to a heading of it.
func TestLinks(t *testing.T) {
	texts := documents(t)
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	for name, text := range texts {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			target := name
			if found[1] != "" {
				target = filepath.Join(filepath.Dir(name), found[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if found[2] == "" {
				continue
			}
			page, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			var anchors []string
			for _, title := range heading.FindAllStringSubmatch(string(page), -1) {
				anchors = append(anchors, anchor(title[1]))
			}
			if !slices.Contains(anchors, found[2]) {
				t.Errorf("%s: %s has no heading for #%s", name, target, found[2])
			}
		}
	}
}

// anchor is a heading's, as GitHub makes it.
func anchor(title string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r > 0x7f:
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == ' ':
			return '-'
		}
		return -1
	}, title)
	return kept
}
