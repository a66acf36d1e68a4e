// Package confine takes the rights of root away from a process for good.
//
// The entry point is [Become]. It is for programs that are built without cgo:
// only there do the calls hold for every thread. A process that could not be
// confined in full must end.
package confine

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Identity is what a process becomes.
type Identity struct {
	UID, GID uint32
	// Groups are the supplementary ones; KeepGroups keeps those that PAM set.
	Groups     []uint32
	KeepGroups bool
	// Root is a directory to be locked into, "" for none.
	Root string
	// Home is the working directory, as seen below Root. If it cannot be
	// entered that is "/".
	Home string
}

// Become makes the process that identity. AllowRoot must say so if that is
// root's.
func Become(id Identity, allowRoot bool) error {
	if id.UID == 0 && !allowRoot {
		return fmt.Errorf("become uid 0: %w", syscall.EPERM)
	}
	if err := enter(id.Root); err != nil {
		return err
	}
	if !id.KeepGroups {
		groups := make([]int, len(id.Groups))
		for i, gid := range id.Groups {
			groups[i] = int(gid)
		}
		if err := syscall.Setgroups(groups); err != nil {
			return fmt.Errorf("set groups: %w", err)
		}
	}
	if err := syscall.Setresgid(int(id.GID), int(id.GID), int(id.GID)); err != nil {
		return fmt.Errorf("become gid %d: %w", id.GID, err)
	}
	if err := syscall.Setresuid(int(id.UID), int(id.UID), int(id.UID)); err != nil {
		return fmt.Errorf("become uid %d: %w", id.UID, err)
	}
	if err := lock(id); err != nil {
		return err
	}
	if os.Chdir(id.Home) != nil {
		return os.Chdir("/")
	}
	return nil
}

func enter(root string) error {
	if root == "" {
		return nil
	}
	if err := syscall.Chroot(root); err != nil {
		return fmt.Errorf("chroot to %s: %w", root, err)
	}
	return os.Chdir("/")
}

// lock closes the ways back and looks whether they are closed.
func lock(id Identity) error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("no new privileges: %w", errno)
	}
	// Other processes of the same user may not look into this one.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("not dumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("no core dumps: %w", err)
	}
	ruid, euid, suid := unix.Getresuid()
	rgid, egid, sgid := unix.Getresgid()
	for _, uid := range []int{ruid, euid, suid} {
		if uid != int(id.UID) {
			return fmt.Errorf("uids are %d %d %d, expected %d: %w", ruid, euid, suid, id.UID, syscall.EPERM)
		}
	}
	for _, gid := range []int{rgid, egid, sgid} {
		if gid != int(id.GID) {
			return fmt.Errorf("gids are %d %d %d, expected %d: %w", rgid, egid, sgid, id.GID, syscall.EPERM)
		}
	}
	if id.UID != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("root could be had again: %w", syscall.EPERM)
	}
	return nil
}
