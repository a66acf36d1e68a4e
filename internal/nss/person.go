package nss

import (
	"bytes"
	"os"
	"strconv"
)

// People have a uid from UID_MIN of login.defs(5) on; 65534 is nobody's.
const (
	usualLeastUID = 1000
	nobodysUID    = 65534
)

// PersonUIDs says which uids are persons' by the login.defs(5) at path: root's, and
// those above the system's.
func PersonUIDs(path string) (persons func(uid uint32) bool) {
	least := uint64(usualLeastUID)
	data, _ := os.ReadFile(path) // without one it is the usual one
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) < 2 || string(fields[0]) != "UID_MIN" {
			continue
		}
		if found, err := strconv.ParseUint(string(fields[1]), 10, 32); err == nil {
			least = found
			break
		}
	}
	return func(uid uint32) bool { return uid == 0 || uint64(uid) >= least && uid != nobodysUID }
}

// IsOwn says whether a name service of nsswitch.conf(5) knows the machine's own accounts
// and no others, which are in files that come with it.
func IsOwn(service string) bool {
	switch service {
	case "files", "compat", "systemd", "altfiles", "usrfiles":
		return true
	}
	return false
}
