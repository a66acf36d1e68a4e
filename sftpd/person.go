package main

import (
	"errors"

	"github.com/otpgate/otpgate/internal/nss"
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
	found, known, err := nss.UserByName(name)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, nss.ErrUnknownUser
	}
	if found.UID == 0 && !allowRoot {
		return nil, errors.New("uid 0 needs allow_root = true in [sftp]")
	}
	groups, err := nss.GroupsOf(found)
	if err != nil {
		return nil, err
	}
	return &person{uid: found.UID, gid: found.GID, home: found.Home, groups: groups}, nil
}
