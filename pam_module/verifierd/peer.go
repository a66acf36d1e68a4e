package main

import (
	"os/user"
	"slices"
	"strconv"
)

// directory knows whose program a uid is.
type directory struct {
	self   uint32
	lookup func(uid string) (*user.User, error)
}

// kind says what programs of uid may do.
func (d *directory) kind(uid uint32, allow []uint32) peerKind {
	switch {
	case uid == 0 || uid == d.self:
		return trusted
	case slices.Contains(allow, uid):
		return allowed
	}
	return stranger
}

// is says whether uid is the user of that name. Doubt says no.
func (d *directory) is(uid uint32, name string) bool {
	account, err := d.lookup(strconv.FormatUint(uint64(uid), 10))
	return err == nil && name != "" && account.Username == name
}
