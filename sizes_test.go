package otpgate_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a package, a file and a function may have, so that each can be taken in at once:
// files of a package without its tests, lines of a file, of half of all files, and of a
// function.
const mostFiles, mostLines, mostMedian, mostOfFunction = 20, 400, 120, 60

func TestSizes(t *testing.T) {
	inPackage := map[string]int{}
	var sizes []int
	err := sources(func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := bytes.Count(text, []byte("\n"))
		sizes = append(sizes, lines)
		if lines > mostLines {
			t.Errorf("%s has %d lines, expected at most %d", path, lines, mostLines)
		}
		if !strings.HasSuffix(path, "_test.go") {
			inPackage[filepath.Dir(path)]++
		}
		return functions(t, path, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, count := range inPackage {
		if count > mostFiles {
			t.Errorf("%s has %d files beside its tests, expected at most %d", dir, count, mostFiles)
		}
	}
	for _, ending := range []string{".c", ".h"} {
		err := files(ending, func(path string) error {
			text, err := os.ReadFile(path)
			if lines := bytes.Count(text, []byte("\n")); lines > mostLines {
				t.Errorf("%s has %d lines, expected at most %d", path, lines, mostLines)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(sizes)
	if median := sizes[len(sizes)/2]; median > mostMedian {
		t.Errorf("half of the files have more than %d lines, expected at most %d", median, mostMedian)
	}
}

// functions looks at the functions of a file.
func functions(t *testing.T, path string, text []byte) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declared := range file.Decls {
		f, ok := declared.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if lines := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; lines > mostOfFunction {
			t.Errorf("%s: %s has %d lines, expected at most %d", path, f.Name.Name, lines, mostOfFunction)
		}
	}
	return nil
}
