package sftp_test

import (
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/sftp"
)

// Whoever is asked before something is opened is told once that it is closed,
// also where the client does not close it or it could not be opened.
func TestOpeningAndClosed(t *testing.T) {
	const most = 2
	open := map[bool]int{}
	options := sftp.Options{
		Opening: func(dir bool) bool {
			if open[dir] == most {
				return false
			}
			open[dir]++
			return true
		},
		Closed: func(dir bool) { open[dir]-- },
	}
	file, dir := pkt(fxOpen, "x", opRead, noAttrs), pkt(fxOpendir, "x")
	s, err := feed(fake{names: 3}, options, packets(file, file, file, dir, dir, dir, pkt(fxClose, firstHandle), file))
	if err != nil {
		t.Fatal(err)
	}
	for i, reply := range s.replies(t) {
		const failure = 4
		if refused := i == 2 || i == 5; refused != (reply.status() == failure) {
			t.Errorf("reply %d: status %d", i, reply.status())
		}
	}
	if _, err := feed(fake{err: syscall.ENOENT}, options, packets(file, file, file, dir, dir, dir)); err != nil {
		t.Fatal(err)
	}
	if open[false] != 0 || open[true] != 0 {
		t.Errorf("still open: %v", open)
	}
}
