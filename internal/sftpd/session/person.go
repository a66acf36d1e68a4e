package session

import (
	"errors"

	"github.com/otpgate/otpgate/internal/nss"
)

// Person is what the system knows of somebody.
type Person struct {
	UID, GID uint32
	Home     string
	Groups   []uint32
}

// LookUp is nil for somebody who is not to log in; the error says to the log
// why.
func LookUp(name string, allowRoot bool) (*Person, error) {
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
	return &Person{UID: found.UID, GID: found.GID, Home: found.Home, Groups: groups}, nil
}
