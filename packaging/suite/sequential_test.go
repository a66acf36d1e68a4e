package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What runs without the race detector, though it is part of otpgate, has nothing that it
// could find.
func TestSequential(t *testing.T) {
	for _, name := range sequential {
		files := filesOf(t, "../../"+name)
		if !slices.ContainsFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") }) {
			t.Errorf("%s has no tests among %q", name, files)
		}
		for _, file := range files {
			for _, one := range beside(t, file) {
				t.Errorf("%s is to have nothing run beside it, and does by %s", name, one)
			}
		}
	}
	if found := beside(t, "load.go"); len(found) != 1 {
		t.Errorf("what runs beside others in load.go: %q", found)
	}
	for _, name := range startsOthers {
		file := filepath.Join(t.TempDir(), "one.go")
		if err := os.WriteFile(file, []byte("package one\n\nfunc one() { of."+name+" = nil }\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if found := beside(t, file); len(found) != 1 {
			t.Errorf("what runs beside others by %s: %q", name, found)
		}
	}
}

// filesOf are the files of our own of which a package's tests are built.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	const ours = `{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .CgoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`
	output, err := exec.Command(goCommand(), "list", "-deps", "-test", "-f", `{{if not (eq .Name "main")}}`+ours+`{{end}}`, dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(output))
}

// startsOthers are names of the standard library by which something runs beside what follows:
// what a command is cancelled by, finalizers and signals too.
var startsOthers = []string{"AddCleanup", "AfterFunc", "Cancel", "Go", "Notify", "Parallel", "RunParallel", "SetFinalizer"}

// beside are the places where a file has something run beside what follows.
func beside(t *testing.T, file string) (found []string) {
	t.Helper()
	places := token.NewFileSet()
	parsed, err := parser.ParseFile(places, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range parsed.Imports {
		if strings.HasPrefix(one.Path.Value, `"net/http`) {
			found = append(found, places.Position(one.Pos()).String())
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			found = append(found, places.Position(node.Pos()).String())
		case *ast.SelectorExpr:
			if slices.Contains(startsOthers, node.Sel.Name) {
				found = append(found, places.Position(node.Pos()).String())
			}
		}
		return true
	})
	return found
}
