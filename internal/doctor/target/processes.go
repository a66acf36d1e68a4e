package target

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is one that runs.
type Process struct {
	PID int
	// Words are its command line, which it may have changed since.
	Words []string
}

// running are the processes of a program that see the same files as this one, so
// that none of a container is among them. A tree that is no machine has none.
func (m *Machine) running(program string) []Process {
	if m.Root != "" {
		return nil
	}
	var found []Process
	here, err := os.Readlink("/proc/self/ns/mnt")
	entries, failed := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil || failed != nil {
		return nil
	}
	for _, entry := range entries {
		exe, err := os.Readlink(entry)
		if err != nil || filepath.Base(strings.TrimSuffix(exe, " (deleted)")) != program {
			continue
		}
		dir := filepath.Dir(entry)
		there, err := os.Readlink(dir + "/ns/mnt")
		text, failed := os.ReadFile(dir + "/cmdline")
		pid, wrong := strconv.Atoi(filepath.Base(dir))
		if err == nil && failed == nil && wrong == nil && there == here {
			found = append(found, Process{PID: pid, Words: strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")})
		}
	}
	return found
}

// String names it.
func (p Process) String() string { return fmt.Sprintf("process %d", p.PID) }
