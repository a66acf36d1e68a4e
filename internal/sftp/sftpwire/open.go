package sftpwire

import "golang.org/x/sys/unix"

// The flags of OPEN.
const (
	openRead     = 0x01
	openWrite    = 0x02
	openAppend   = 0x04
	openCreate   = 0x08
	openTruncate = 0x10
	openExclude  = 0x20
)

// OpenFlags are the flags of open(2) for those of OPEN.
func OpenFlags(wanted uint32) int {
	flags := unix.O_RDONLY
	switch wanted & (openRead | openWrite) {
	case openWrite:
		flags = unix.O_WRONLY
	case openRead | openWrite:
		flags = unix.O_RDWR
	}
	for _, flag := range []struct {
		ours  uint32
		posix int
	}{
		{openAppend, unix.O_APPEND}, {openCreate, unix.O_CREAT},
		{openTruncate, unix.O_TRUNC}, {openExclude, unix.O_EXCL},
	} {
		if wanted&flag.ours != 0 {
			flags |= flag.posix
		}
	}
	return flags
}
