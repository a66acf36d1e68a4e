package target

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Process is one that runs.
type Process struct {
	PID int
	// Program is the file that it runs.
	Program string
	// Words are its command line, which it may have changed since.
	Words []string
}

// running are root's processes of a program that see the same files as this one, so
// that none of a container is among them. Others may call any program by that name,
// and what they run must not be asked as root. A tree that is no machine has none.
func (m *Machine) running(program string) []Process {
	if m.Root != "" {
		return nil
	}
	var found []Process
	here, err := os.Readlink("/proc/self/ns/mnt")
	dirs, failed := filepath.Glob("/proc/[0-9]*")
	if err != nil || failed != nil {
		return nil
	}
	for _, dir := range dirs {
		exe, err := os.Readlink(dir + "/exe")
		exe = strings.TrimSuffix(exe, " (deleted)")
		if err != nil || filepath.Base(exe) != program || !isRoots(dir) {
			continue
		}
		there, err := os.Readlink(dir + "/ns/mnt")
		text, failed := procFile(dir + "/cmdline")
		pid, wrong := strconv.Atoi(filepath.Base(dir))
		if err == nil && failed == nil && wrong == nil && there == here {
			found = append(found, Process{PID: pid, Program: exe, Words: strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")})
		}
	}
	return found
}

// isRoots says whether a process, of that directory in /proc, is root's by all of its
// uids, and so is its program's file. The directory's owner does not tell: it is root
// for any process that may not be traced.
func isRoots(dir string) bool {
	status, err := procFile(dir + "/status")
	if err != nil || !hasRootsUIDs(string(status)) {
		return false // nor is its program looked at: somebody's own file system may keep whoever does
	}
	info, err := os.Stat(dir + "/exe")
	if err != nil {
		return false
	}
	file, ok := info.Sys().(*syscall.Stat_t)
	return ok && file.Uid == 0 && info.Mode().Perm()&0o022 == 0
}

func hasRootsUIDs(status string) bool {
	for line := range strings.Lines(status) {
		if uids, ok := strings.CutPrefix(line, "Uid:"); ok {
			return slices.Equal(strings.Fields(uids), []string{"0", "0", "0", "0"})
		}
	}
	return false
}

// mostProc is more than a file of /proc about a process has, but for an unusual
// command line, of which the rest does not matter.
const mostProc = 1 << 20

func procFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, mostProc))
}

// String names it.
func (p Process) String() string { return fmt.Sprintf("process %d", p.PID) }
