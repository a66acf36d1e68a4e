package main

import (
	"os"
	"os/exec"
	"testing"
)

// What a worker says when nobody reads it any more does not end it: those sessions go on
// that it has.
func TestUnreadStandardError(t *testing.T) {
	if os.Getenv("OTPGATE_TEST_WORKER") != "" {
		main()
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	worker := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	worker.Env, worker.Stderr = append(os.Environ(), "OTPGATE_TEST_WORKER=1"), write
	// It has no broker, says so, and ends by itself.
	if err := worker.Run(); worker.ProcessState.ExitCode() != 2 {
		t.Errorf("expected status 2, found %v", err)
	}
}
