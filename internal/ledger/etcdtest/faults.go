package etcdtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func (c *Cluster) revoked() string { return filepath.Join(c.Dir, "revoked.pem") }

// Revoke has the members of a cluster with Config.Revokes take no new connection by
// these certificates, which are files, and by them alone.
func (c *Cluster) Revoke(t testing.TB, certificates ...string) {
	t.Helper()
	c.Authority.Revoke(t, c.revoked(), certificates...)
}

// onSmallDisk has one member mount a disk for its data, where nobody else sees it. There
// is room for its first files, the largest of which are two of 64 MB.
func (c *Cluster) onSmallDisk(t testing.TB, small int) func(member int) []string {
	t.Helper()
	data := filepath.Join(c.Dir, fmt.Sprintf("n%d", small+1))
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	return func(member int) []string {
		if member != small {
			return nil
		}
		return []string{"unshare", "--mount", "sh", "-ec", `mount -t tmpfs -o size=192m,mode=700 tmpfs "$0"; exec "$@"`, data}
	}
}

// FillDisk leaves no room on the disk of a member that has a small one.
func (c *Cluster) FillDisk(t testing.TB) {
	t.Helper()
	last := c.Members[len(c.Members)-1]
	file, err := os.Create(fmt.Sprintf("/proc/%d/root%s/rest", last.Pid(), filepath.Join(c.Dir, last.Name)))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for rest := make([]byte, 64<<10); len(rest) > 0; {
		if _, err = file.Write(rest); err == nil {
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		rest = rest[:len(rest)/2]
	}
}
