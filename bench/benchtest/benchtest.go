// Package benchtest runs a bench as its users do, for the tests of the benches.
package benchtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Quick builds the bench in the test's directory, runs it with -quick in top, the
// top of the source tree, and expects each of rows in what it prints.
func Quick(t *testing.T, top string, rows ...string) {
	t.Helper()
	QuickWith(t, top, nil, rows...)
}

// QuickWith is Quick with other flags too.
func QuickWith(t *testing.T, top string, flags []string, rows ...string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bench")
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, output)
	}
	cmd := exec.Command(program, append([]string{"-quick"}, flags...)...)
	cmd.Dir = top
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, row := range rows {
		if !strings.Contains(string(output), row) {
			t.Errorf("no %q in:\n%s", row, output)
		}
	}
}
