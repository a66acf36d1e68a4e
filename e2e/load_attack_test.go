package e2e

import (
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
)

// attack is what one process of package flood does: how, as which uids, for whom.
type attack struct {
	way         string
	first, uids int
	users       []string
}

const (
	wwwData      = 33
	subordinate  = 100_000 // the first uid of somebody's in subuid(5), of 65,536
	subordinates = 65_536
)

// attacker is somebody who does what he can at the verifier's socket.
type attacker struct {
	name, mayRefuse string // a server that may refuse a right code meanwhile
	attacks         []attack
}

// attackers are a local user with 65,536 uids, a program of one person's own, and a
// web server that was taken over, which lets nobody in if it wants.
func (s *loadSites) attackers() []attacker {
	guest := s.guest.UID
	return []attacker{
		{"stranger", "", []attack{{"close", subordinate, subordinates, nil}, {"half", subordinate + subordinates, subordinates, s.names}, {"guess", subordinate, subordinates, s.names}}},
		{"guest", "", []attack{{"guess", guest, 1, s.names[:1]}, {"open", guest, 1, s.names[:1]}, {"garbage", guest, 1, nil}}},
		{"server", "apache", []attack{{"guess", wwwData, 1, s.names}, {"open", wwwData, 1, s.names}, {"leave", wwwData, 1, s.names}, {"close", subordinate, subordinates, nil}}},
	}
}

// begin starts attacks at a site's socket with a niceness, until stop, or else until t
// ends. An attack that lasts until everybody has logged in must leave them the
// processors, or it makes itself longer: at the highest niceness it has the time that
// the logins and other tests leave.
func begin(tb testing.TB, site machine.Site, niceness int, attacks ...attack) (stop func()) {
	tb.Helper()
	var stops []func()
	for _, a := range attacks {
		words := []string{"-n", strconv.Itoa(niceness), machine.Files + "/flood", site.Socket, a.way, strconv.Itoa(a.first), strconv.Itoa(a.uids), "1", site.Config}
		cmd := exec.Command("nice", append(words, a.users...)...)
		in, err := cmd.StdinPipe()
		if err != nil {
			tb.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			tb.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		end := sync.OnceFunc(func() { _ = in.Close(); _ = cmd.Wait() })
		tb.Cleanup(end)
		stops = append(stops, end)
		if _, err := out.Read(make([]byte, 10)); err != nil {
			tb.Fatalf("the flood: %v", err)
		}
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}
