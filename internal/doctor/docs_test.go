package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// The page has every kind of finding, and no others.
func TestPageHasEveryID(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## The findings")
	var sources []string
	for _, pattern := range []string{"*.go", "*/*.go", "../rollout/*.go"} {
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

// What --ignore and doctor.toml take is what the page has.
func TestIDs(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## The findings")
	var ids []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+) \\|").FindAllStringSubmatch(table, -1) {
		ids = append(ids, strings.Split(strings.ReplaceAll(row[1], "`", ""), ", ")...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	const source = "finding/ids.go"
	if *update {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "{\n")
		list := head + "{\n\t\"" + strings.Join(ids, "\",\n\t\"") + "\",\n}\n"
		if err := os.WriteFile(source, []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !slices.Equal(ids, finding.IDs) {
		t.Errorf("%s has\n%q\nand the page\n%q\ngo test ./internal/doctor -run TestIDs -update writes what the page has", source, finding.IDs, ids)
	}
}

// testdata/doctor has a set-up for every kind of finding that files can show.
func TestSetupsHaveEveryID(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	var found strings.Builder
	files, err := filepath.Glob(setups + "*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name == "want" {
				found.Write(f.Data)
			}
		}
	}
	// What files cannot show, and the test that does.
	elsewhere := map[string]string{
		"stack-too-long":     "TestManyWays",
		"change-unconfirmed": "internal/rollout TestForgottenChange",
		"break-glass-used":   "internal/doctor/remote TestCodesThatWereUsed",
		"ledger-certificate": "internal/doctor/sharedledger TestCertificates",
		"people-elsewhere":   "ledgerd TestPeopleElsewhere",
	}
	_, table, _ := strings.Cut(string(page), "## The findings")
	rows := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+) \\|").FindAllStringSubmatch(table, -1) {
		for _, id := range strings.Split(strings.ReplaceAll(row[1], "`", ""), ", ") {
			if rows++; !strings.Contains(found.String(), "  id:       "+id+"\n") && elsewhere[id] == "" {
				t.Errorf("no set-up in %s has %s", setups, id)
			}
		}
	}
	if rows < 50 {
		t.Errorf("found only %d kinds on the page", rows)
	}
}
