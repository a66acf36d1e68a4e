package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// held is how long a front may hold back what is to be logged, see docs/sftpd.md.
const held = 50 * time.Millisecond

// A front gathers what its sessions did. When it is killed no more is lost than it may
// hold back, and while it lives nothing waits for the session's end.
func TestSFTPKilledFrontLosesLittle(t *testing.T) {
	t.Parallel()
	site := machine.NewSite(t, "sftp-gathered", noCodes)
	s := hosts.StartSFTPD(t, site, noCodes, "fronts = 1\n")
	p, _, f := newFiles(t, s)
	for i := range 100 {
		must(t, f.Mkdir(fmt.Sprintf("whole-%d", i)))
	}
	for i := range 100 {
		machine.Log.Expect(t, "user="+p.Name+" ", "op=mkdir", fmt.Sprintf("path=whole-%d ", i))
	}
	// Two requests that begin so long after an answer are answered by a front that
	// has passed on what the answer was about.
	var answered []time.Time
	told := func() int {
		for i, at := range answered {
			if len(answered) < i+3 || answered[len(answered)-3].Sub(at) < held {
				return i
			}
		}
		return len(answered)
	}
	for told() < 20 {
		must(t, f.Mkdir(fmt.Sprintf("killed-%d", len(answered))))
		answered = append(answered, time.Now())
	}
	must(t, syscall.Kill(oneChild(t, s, "otpgate-sftpd-front", anybody), syscall.SIGKILL))
	for i := range told() {
		machine.Log.Expect(t, "user="+p.Name+" ", "op=mkdir", fmt.Sprintf("path=killed-%d ", i))
	}
	for i := range answered {
		if lines := machine.Log.Lines("user="+p.Name+" ", "op=mkdir", fmt.Sprintf("path=killed-%d ", i)); len(lines) > 1 {
			t.Errorf("%d lines of one directory", len(lines))
		}
	}
}

// forgesNoLines has a front that was taken over tell what p does. What is in the log of a
// transfer is the front's word, who it was is not: of each of several in a message.
func forgesNoLines(t *testing.T, c *taken, p, other *machine.Person) {
	t.Helper()
	w := fields.Message(messages.TellOperations)
	for written := range uint64(3) {
		w.Text("transfer").Text("/x\" user=" + other.Name).Text("").U64(1).U64(written).Text("")
	}
	c.tell(w.Bytes)
	for written := range 3 {
		line := machine.Log.Expect(t, "user="+p.Name+" ", "op=transfer", fmt.Sprintf("written=%d ", written))
		if strings.Contains(line.Text, "/x\" user="+other.Name) {
			t.Errorf("a forged field: %s", line.Text)
		}
	}
	// Of a message that is cut nothing is written, and it ends the connection.
	c.tell(fields.Message(messages.TellOperations).Text("transfer").Text("/whole").Text("").U64(1).U64(7).Text("").Text("transfer").Text("/cut").Bytes)
	machine.Log.Expect(t, "user="+p.Name+" ", "verdict=fault", "rule=front")
	if lines := machine.Log.Lines("user="+p.Name+" ", "op=transfer", "/whole"); len(lines) > 0 {
		t.Errorf("%d lines of a message that is cut", len(lines))
	}
}

// quotesWorker has a worker say something on standard error, as one that was taken over
// could: its trace.
func quotesWorker(t *testing.T, s *hosts.SFTPD, pid int, p *machine.Person) {
	t.Helper()
	before := len(s.Output())
	must(t, syscall.Kill(pid, syscall.SIGQUIT))
	machine.Until(t, "the worker's trace", func() bool {
		return strings.Contains(s.Output()[before:], `otpgate-sftpd: the worker of "`+p.Name+`" says "SIGQUIT: quit"`)
	})
	if strings.Contains(s.Output()[before:], "\nSIGQUIT: quit\n") {
		t.Error("what the worker says is not quoted")
	}
}

// expectNotInherited fails t if one of the processes has the file open, which the
// broker was started with.
func expectNotInherited(t *testing.T, pids []int, file string) {
	t.Helper()
	for _, pid := range pids {
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		must(t, err)
		if len(links) == 0 {
			t.Errorf("process %d: no descriptors can be seen", pid)
		}
		for _, link := range links {
			if to, err := os.Readlink(link); err == nil && to == file {
				t.Errorf("%s is %s", link, to)
			}
		}
	}
}

// quotesAnother is quotesWorker with the worker of a further connection: the one before was
// ended, and its worker may go on, as a front of ours keeps what it has.
func quotesAnother(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer, before int) {
	t.Helper()
	c := take(t, s, p)
	must(t, c.sign(sessionID(2)))
	if outcome := c.step(proofOf(t, p.Name, p.Name, signer, sessionID(2))); outcome != messages.Accepted || !c.hasSession() {
		t.Fatalf("expected accepted, found %d", outcome)
	}
	var others []int
	machine.Until(t, "there is another worker", func() bool {
		others = slices.DeleteFunc(children(t, s, "otpgate-sftpd-worker", p.UID), func(pid int) bool { return pid == before })
		return len(others) == 1
	})
	quotesWorker(t, s, others[0], p)
}
