// Package seqpackettest gives tests both ends of a connection.
package seqpackettest

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// Pair makes a connection within the process. Both ends are closed with t.
func Pair(t testing.TB) (ours, theirs *seqpacket.Conn) {
	t.Helper()
	ours, file, err := seqpacket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = seqpacket.New(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}
