package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page has every kind of finding, and no others.
func TestPageHasEveryID(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## The findings")
	var sources []string
	for _, pattern := range []string{"*.go", "../rollout/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, files...)
	}
	var code strings.Builder
	for _, file := range sources {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, "_test.go") {
			code.Write(text)
		}
	}
	ids := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?:ID(?:: |, | = |\S+ = )|f\.ID, f\.Severity = |"(?:exempt|require)", |askedAfterWrong = )"([a-z-]+)"`).FindAllStringSubmatch(code.String(), -1) {
		ids[match[1]] = true
	}
	delete(ids, "dry") // a factor's
	for id := range ids {
		if !strings.Contains(table, "`"+id+"`") {
			t.Errorf("the page has no word on %s", id)
		}
	}
	for _, match := range regexp.MustCompile("`([a-z]+-[a-z-]+)`").FindAllStringSubmatch(table, -1) {
		if !strings.Contains(code.String(), `"`+match[1]+`"`) {
			t.Errorf("the page has %s, which is never found", match[1])
		}
	}
	if len(ids) < 40 {
		t.Errorf("only %d kinds were found in the code", len(ids))
	}
}
