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
	for _, dir := range m.processes()[program] {
		// By now the number may be another one's, whose files are not to be mixed with these.
		exe, here := runs(dir)
		if !here || filepath.Base(exe) != program || !isRoots(dir) {
			continue
		}
		text, err := procFile(dir + "/cmdline")
		pid, wrong := strconv.Atoi(filepath.Base(dir))
		if err == nil && wrong == nil {
			found = append(found, Process{PID: pid, Program: exe, Words: strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")})
		}
	}
	return found
}

// processes are the directories in /proc of those that see the same files as this one, by
// the names of their programs, as they were when somebody asked first: many ask.
func (m *Machine) processes() map[string][]string {
	if m.programs == nil {
		m.programs = map[string][]string{}
		dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a good one
		for _, dir := range dirs {
			if exe, here := runs(dir); here {
				m.programs[filepath.Base(exe)] = append(m.programs[filepath.Base(exe)], dir)
			}
		}
	}
	return m.programs
}

// runs is the program of a process, of that directory in /proc, that sees the same files as
// this one.
func runs(dir string) (exe string, here bool) {
	exe, err := os.Readlink(dir + "/exe")
	if err != nil {
		return "", false // as of the kernel's own
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	there, failed := os.Readlink(dir + "/ns/mnt")
	return strings.TrimSuffix(exe, " (deleted)"), err == nil && failed == nil && there == own
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
