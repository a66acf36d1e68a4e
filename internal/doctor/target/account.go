package target

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/otpgate/otpgate/internal/nss"
)

// Account is a user, and what files let that user do.
type Account struct {
	Name string
	UID  uint32
	GIDs []uint32

	root string
}

// Account looks a user up, with the groups.
func (m *Machine) Account(name string) (a Account, found bool, err error) {
	if m.Root != "" {
		return m.listedAccount(name)
	}
	user, found, err := nss.UserByName(name)
	if err != nil || !found {
		return Account{}, false, err
	}
	gids, err := nss.GroupsOf(user)
	return Account{Name: name, UID: user.UID, GIDs: append(gids, user.GID)}, true, err
}

// listedAccount is that of a tree that is no machine.
func (m *Machine) listedAccount(name string) (a Account, found bool, err error) {
	a = Account{Name: name, root: m.Root}
	number := func(text string) uint32 {
		n, parsed := strconv.ParseUint(text, 10, 32)
		if parsed != nil {
			err = fmt.Errorf("account of %s: %w", name, parsed)
		}
		return uint32(n)
	}
	for fields, unreadable := range m.entries("/etc/passwd", 7) {
		if unreadable != nil {
			return Account{}, false, unreadable
		}
		if fields[0] == name {
			found, a.UID, a.GIDs = true, number(fields[2]), []uint32{number(fields[3])}
		}
	}
	for fields, unreadable := range m.entries("/etc/group", 4) {
		if unreadable == nil && slices.Contains(nss.ListedMembers(fields), name) {
			a.GIDs = append(a.GIDs, number(fields[2]))
		}
	}
	return a, found, err
}

// Access is what somebody wants of a file, by the bits of its mode.
type Access uint32

// The kinds of access.
const (
	Searching Access = 1 // what is in a directory
	Writing   Access = 2 // or connecting to a socket
	Reading   Access = 4
)

// MayNotReach says why the user may not do that with the file at path, by the modes of
// the file and of the directories above it; "" if nothing is against it, or if path or
// what is above it is not there.
func (a Account) MayNotReach(path string, want Access) (reason string) {
	below := strings.TrimPrefix(path, a.root)
	for dir := filepath.Dir(below); ; dir = filepath.Dir(dir) {
		if a.may(a.root+dir, Searching) {
			if dir == "/" {
				break
			}
			continue
		}
		return describe(a.root + dir)
	}
	if !a.may(path, want) {
		return describe(path)
	}
	return ""
}

func (a Account) may(path string, want Access) bool {
	var st syscall.Stat_t
	if a.UID == 0 || syscall.Stat(path, &st) != nil {
		return true
	}
	bits := st.Mode
	switch {
	case st.Uid == a.UID:
		bits >>= 6
	case slices.Contains(a.GIDs, st.Gid):
		bits >>= 3
	}
	return Access(bits)&want != 0
}

func describe(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path + " is gone"
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%s belongs to uid %d and gid %d, with mode %04o", path, owner.Uid, owner.Gid, info.Mode().Perm())
}
