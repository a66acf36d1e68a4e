package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// anybody is for children of all users.
const anybody = -1

// children lists the processes below the server, by program and user. One that a
// process of the program is about to start another program in is not meant.
func children(t *testing.T, s *hosts.SFTPD, program string, uid int) []int {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*") // with more behind it, this would list each
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, process := range processes {
		// Those that end meanwhile are not meant.
		target, err := os.Readlink(process + "/exe")
		if err != nil || !strings.HasSuffix(target, "/"+program) {
			continue
		}
		status, err := os.ReadFile(process + "/status")
		if err != nil || uid != anybody && !strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t", uid)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(process))
		if err == nil && below(pid, s.PID()) && !started(pid, target) {
			found = append(found, pid)
		}
	}
	return found
}

// oneChild waits until the server has one such process: a session begins before its
// processes have.
func oneChild(t *testing.T, s *hosts.SFTPD, program string, uid int) int {
	t.Helper()
	var found []int
	machine.Until(t, "there is one "+program, func() bool {
		found = children(t, s, program, uid)
		return len(found) == 1
	})
	return found[0]
}

// started says whether a process is one of a program that a process of the same
// program has made.
func started(pid int, program string) bool {
	by, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", parent(pid)))
	return err == nil && by == program
}

// parent is 0 for a process that is gone.
func parent(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	by, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return by
}

func below(pid, ancestor int) bool {
	for pid > 1 {
		if pid == ancestor {
			return true
		}
		pid = parent(pid)
	}
	return false
}
