package otpgate_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a package and a file may have, so that each can be taken in at once: files
// of a package without its tests, and lines of a file.
const mostFiles, mostLines = 20, 400

func TestSizes(t *testing.T) {
	files := map[string]int{}
	err := sources(func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if lines := bytes.Count(text, []byte("\n")); lines > mostLines {
			t.Errorf("%s has %d lines, expected at most %d", path, lines, mostLines)
		}
		if !strings.HasSuffix(path, "_test.go") {
			files[filepath.Dir(path)]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, count := range files {
		if count > mostFiles {
			t.Errorf("%s has %d files beside its tests, expected at most %d", dir, count, mostFiles)
		}
	}
}
