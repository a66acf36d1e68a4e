package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuick runs the bench itself: every server does every row. The times are
// of no use, so nothing is said about the goals.
func TestQuick(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bench")
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, output)
	}
	cmd := exec.Command(program, "-quick")
	cmd.Dir = "../.." // the top of the tree
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, row := range new(bench).rows() {
		if !strings.Contains(string(output), "\n"+row.name+" ") {
			t.Errorf("no %q in:\n%s", row.name, output)
		}
	}
}
