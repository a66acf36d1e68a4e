package machine

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// watchArguments looks again and again with which arguments the programs under
// test run. It sees all that run for a while, and of the others those of some:
// one that is given a code each time is seen in the end.
func watchArguments() {
	for {
		lookAtArguments("/proc", Files)
		time.Sleep(500 * time.Millisecond)
	}
}

// lookAtArguments notes those of each process whose program is in dir. An admin
// may give codes to otpctl; the others are given none.
func lookAtArguments(proc, dir string) {
	processes, err := filepath.Glob(proc + "/[0-9]*")
	if err != nil {
		return
	}
	for _, process := range processes {
		// A process may end meanwhile, and what is gone has no program.
		program, err := os.Readlink(process + "/exe")
		if err != nil || filepath.Dir(program) != dir || !strings.HasPrefix(filepath.Base(program), "otpgate-") {
			continue
		}
		if line, err := os.ReadFile(process + "/cmdline"); err == nil {
			arguments.add("arguments of "+filepath.Base(program), strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
}
