package testprogram

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// workVariable makes a test binary a worker instead.
const workVariable = "OTPGATE_TEST_WORKER"

// Main is for TestMain: it runs the tests, or, in a process that [Worker] has made, works
// with those arguments. It returns the exit status.
func Main(m *testing.M, work func(arguments []string) error) int {
	if _, isWorker := os.LookupEnv(workVariable); !isWorker {
		return m.Run()
	}
	if err := work(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Worker gives a command that has this test binary work in a process of its own, which
// may die, and what it will have written.
func Worker(arguments ...string) (*exec.Cmd, *strings.Builder) {
	cmd := exec.Command(os.Args[0], arguments...)
	// The race detector would have the worker wait a second before it ends.
	cmd.Env = append(os.Environ(), workVariable+"=yes", "GORACE=atexit_sleep_ms=0")
	output := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = output, output
	return cmd, output
}
