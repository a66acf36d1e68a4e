package main

import (
	"errors"
	"fmt"
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

// lookUp is nil for somebody who is not to log in; the error says to the log
// why.
func lookUp(name string, allowRoot bool) (*person, error) {
	found, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(found.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(found.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if uid == 0 && !allowRoot {
		return nil, errors.New("uid 0 needs allow_root = true in [sftp]")
	}
	p := &person{uid: uint32(uid), gid: uint32(gid), home: found.HomeDir}
	ids, err := groups.Of(found)
	if err != nil {
		return nil, fmt.Errorf("groups of %q: %w", name, err)
	}
	for _, id := range ids {
		gid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, err
		}
		p.groups = append(p.groups, uint32(gid))
	}
	return p, nil
}
