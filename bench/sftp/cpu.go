package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/otpgate/otpgate/e2e/machine"
)

// group is a control group of version 2, for the processor time of a server
// with all that it starts, whoever reaps it: sshd's monitors are reaped by
// nobody that adds their time up.
type group struct{ dir string }

// newGroup makes a group that ends after what is started next.
func (b *bench) newGroup(name string) (group, error) {
	root, err := mountGroups()
	if err != nil {
		return group{}, err
	}
	g := group{filepath.Join(root, fmt.Sprintf("otpgate-bench-%d-%s", time.Now().UnixNano(), name))}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return group{}, fmt.Errorf("processor time of a server: %w", err)
	}
	b.Cleanup(g.end)
	return g, nil
}

// take moves a process and all below it into the group, itself first: what it
// starts from then on is in the group.
func (g group) take(pid int) error {
	if err := g.move(pid); err != nil {
		return err
	}
	for _, one := range tree(pid) {
		if err := g.move(one); err != nil {
			return err
		}
	}
	return nil
}

func (g group) move(pid int) error {
	err := os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
	if err != nil && !errors.Is(err, syscall.ESRCH) { // one may have ended meanwhile
		return fmt.Errorf("processor time of a server: %w", err)
	}
	return nil
}

// mountGroups mounts control groups of version 2 in the bench's own mounts,
// wherever the machine has them or not.
func mountGroups() (string, error) {
	dir := filepath.Join(machine.Root, "cgroup")
	if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := syscall.Mount("cgroup2", dir, "cgroup2", 0, ""); err != nil {
		return "", fmt.Errorf("mount control groups of version 2 for the processor time of servers: %w", err)
	}
	return dir, nil
}

// cpu is the processor time so far in seconds, user and system.
func (g group) cpu() (float64, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, "cpu.stat"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if value, found := bytes.CutPrefix(line, []byte("usage_usec ")); found {
			used, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			return float64(used) / 1e6, err
		}
	}
	return 0, fmt.Errorf("no usage_usec in %s/cpu.stat", g.dir)
}

// settled is cpu once what the server does behind the last client is done.
func (g group) settled() (float64, error) {
	used, err := g.cpu()
	for range 40 {
		if err != nil {
			return 0, err
		}
		time.Sleep(50 * time.Millisecond)
		before := used
		if used, err = g.cpu(); used-before < 0.0005 {
			break
		}
	}
	return used, err
}

// end ends what is left in the group, and the group.
func (g group) end() {
	_ = os.WriteFile(filepath.Join(g.dir, "cgroup.kill"), []byte("1"), 0)
	for range 100 {
		if os.Remove(g.dir) == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
