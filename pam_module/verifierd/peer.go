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

// trusted says whether programs of uid may ask for anybody.
func (d *directory) trusted(uid uint32, allowed []uint32) bool {
	return uid == 0 || uid == d.self || slices.Contains(allowed, uid)
}

// is says whether uid is the user of that name. Doubt says no.
func (d *directory) is(uid uint32, name string) bool {
	account, err := d.lookup(strconv.FormatUint(uint64(uid), 10))
	return err == nil && name != "" && account.Username == name
}
