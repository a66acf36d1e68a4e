package main

import (
	"errors"
	"os/user"
	"strconv"

	"github.com/otpgate/otpgate/internal/groups"
)

// person is what the system knows of somebody.
type person struct {
	uid, gid uint32
	home     string
	groups   []uint32
}

// lookUp is nil for somebody who is not to log in.
func lookUp(name string, allowRoot bool) *person {
	found, err := user.Lookup(name)
	if err != nil {
		return nil
	}
	uid, err1 := strconv.ParseUint(found.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(found.Gid, 10, 32)
	if errors.Join(err1, err2) != nil || uid == 0 && !allowRoot {
		return nil
	}
	p := &person{uid: uint32(uid), gid: uint32(gid), home: found.HomeDir}
	ids, err := groups.Of(found)
	if err != nil {
		return nil
	}
	for _, id := range ids {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil
		}
		p.groups = append(p.groups, uint32(gid))
	}
	return p
}
