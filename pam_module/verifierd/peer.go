package main

import (
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// credentials are who the kernel says is at the other end: the effective ids
// at the time of its connect. See SO_PEERCRED in unix(7).
func credentials(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	return peer, nil
}

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
