package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// pieces are the processes of a server that belong to sessions.
func pieces(t *testing.T, s *hosts.SFTPD) []int {
	t.Helper()
	return append(children(t, s, "otpgate-sftpd-worker", anybody), children(t, s, "otpgate-sftpd-login", anybody)...)
}

func onlyFront(t *testing.T, s *hosts.SFTPD) int {
	t.Helper()
	var fronts []int
	machine.Until(t, "one front", func() bool {
		fronts = children(t, s, "otpgate-sftpd-front", nobody(t))
		return len(fronts) == 1
	})
	return fronts[0]
}

// stacks has a process end in saying what its goroutines do, and returns one
// text for each that is not Go's own.
func stacks(t *testing.T, s *hosts.SFTPD, pid int) []string {
	t.Helper()
	// What a session has left to end is done once nobody who has a part in it runs.
	machine.Until(t, "broker and front rest", func() bool { return rests(s.PID()) && rests(onlyFront(t, s)) && rests(s.PID()) })
	before := len(s.Output())
	must(t, syscall.Kill(pid, syscall.SIGQUIT))
	// The registers come last.
	last := regexp.MustCompile(`(?m)^(rip|pc) +0x`)
	var said string
	machine.Until(t, "the process has said all", func() bool {
		said = unquoted(t, s.Output()[before:])
		return last.MatchString(said)
	})
	all := regexp.MustCompile(`(?m)^goroutine \d+ [^\n]*\[.*\]:\n(?:.+\n)+`).FindAllString(said, -1)
	return slices.DeleteFunc(all, func(stack string) bool {
		return !strings.Contains(stack, "github.com/") && !strings.Contains(stack, "golang.org/")
	})
}

// unquoted gives what broker and front say, in the words of the front where the broker quotes it,
// which leaves out empty lines.
func unquoted(t *testing.T, output string) string {
	t.Helper()
	var all strings.Builder
	for line := range strings.Lines(output) {
		if quoted, isFronts := strings.CutPrefix(line, "otpgate-sftpd: a front says "); isFronts && strings.HasSuffix(line, "\n") {
			said, err := strconv.Unquote(strings.TrimSpace(quoted))
			must(t, err)
			line = said + "\n"
		}
		if strings.HasPrefix(line, "goroutine ") {
			line = "\n" + line
		}
		all.WriteString(line)
	}
	return all.String()
}

// rests says whether all threads of a process sleep, and none waits for a processor: see
// proc(5), stat.
func rests(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, thread := range threads {
		// One that has ended meanwhile does not run.
		if stat, err := os.ReadFile(thread); err == nil && !strings.Contains(string(stat), ") S ") {
			return false
		}
	}
	return err == nil && len(threads) > 0
}

// uploads begins one in each of several sessions, and gives what writes to
// them.
func uploads(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer, n int) (clients []*ssh.Client, open []*sftp.File) {
	t.Helper()
	for i := range n {
		client, f := files(t, s, p, signer)
		file, err := f.Create(fmt.Sprint("upload", i))
		must(t, err)
		_, err = file.Write(make([]byte, 1<<20))
		must(t, err)
		clients, open = append(clients, client), append(open, file)
	}
	return clients, open
}

// faults are what may become of sessions. Each is over when it returns, or soon
// after.
var faults = map[string]struct {
	table string
	run   func(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer)
}{
	"half-open": {"limits.login_grace = \"30s\"\n", func(t *testing.T, s *hosts.SFTPD, _ *machine.Person, _ ssh.Signer) {
		half := halfOpen(t, s)
		machine.Until(t, "the half-open connections are cut", func() bool {
			return !slices.ContainsFunc(half, isOpen)
		})
	}},
	"vanished": {"", func(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer) {
		for i := range 10 {
			v := &sshClient{person: p, server: s}
			conn := v.dial(t)
			made, channels, requests, err := ssh.NewClientConn(conn, s.Address(), &ssh.ClientConfig{
				User: p.Name, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			})
			must(t, err)
			f, err := sftp.NewClient(ssh.NewClient(made, channels, requests))
			must(t, err)
			file, err := f.Create(fmt.Sprint("vanished", i))
			must(t, err)
			go func() { _, _ = file.ReadFrom(endless{}) }()
			path := fmt.Sprintf("/home/%s/vanished%d", p.Name, i)
			machine.Until(t, "some of it is there", func() bool {
				info, err := os.Stat(path)
				return err == nil && info.Size() > 0
			})
			// A reset, in the middle of a packet.
			must(t, conn.(*net.TCPConn).SetLinger(0))
			must(t, conn.Close())
			must(t, os.Remove(path))
		}
		machine.Log.Expect(t, "user="+p.Name+" ", "op=transfer", "path=/home/"+p.Name+"/vanished9", "written=")
	}},
	"killed workers": {"", func(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer) {
		killed(t, s, p, signer, "otpgate-sftpd-worker", p.UID)
	}},
	"killed login processes": {"", func(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer) {
		killed(t, s, p, signer, "otpgate-sftpd-login", 0)
	}},
	"killed front": {"", func(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer) {
		killed(t, s, p, signer, "otpgate-sftpd-front", nobody(t))
		machine.Until(t, "another front answers", func() bool { return greets(s) })
	}},
	"slow readers": {"limits.keepalive = \"5s\"\n", slowReaders},
	"idle readers": {"limits.idle_timeout = \"20s\"\nlimits.keepalive = \"0s\"\n", slowReaders},
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// killed kills the pieces of five sessions that are in the middle of uploads.
func killed(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer, program string, uid int) {
	t.Helper()
	clients, open := uploads(t, s, p, signer, 5)
	for _, pid := range children(t, s, program, uid) {
		must(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	for _, file := range open {
		// A worker is not needed for what is open already.
		_, _ = file.Write(make([]byte, 1<<20))
		_ = file.Close()
	}
	for _, client := range clients {
		_ = client.Close() // most have been told
	}
	machine.Until(t, "the sessions are over", func() bool { return len(pieces(t, s)) == 0 })
}

// greets says whether a front takes connections: whoever comes before another one is in the
// place of the only one is hung up on.
func greets(s *hosts.SFTPD) bool {
	conn, err := net.Dial("tcp", s.Address())
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(machine.Patience)); err != nil {
		return false
	}
	banner := make([]byte, len("SSH-2.0-"))
	_, err = io.ReadFull(conn, banner)
	return err == nil
}

// halfOpen makes 1,000 connections that say nothing, little or garbage.
func halfOpen(t *testing.T, s *hosts.SFTPD) (half []net.Conn) {
	t.Helper()
	for i := range 1000 {
		conn, err := net.Dial("tcp", s.Address())
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { conn.Close() })
		half = append(half, conn)
		switch i % 4 {
		case 1:
			fmt.Fprint(conn, "SSH-2.0-slow\r\n")
		case 2:
			fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		case 3:
			fmt.Fprint(conn, "SSH-2.0-x\r\n\xff\xff\xff\xff\x00\x14garbage")
		}
	}
	return half
}

// isOpen says whether the other end has not hung up, and reads what it said.
func isOpen(conn net.Conn) bool {
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		return true
	}
	_, err := io.Copy(io.Discard, conn)
	return os.IsTimeout(err)
}

// A login does not wait until half-open connections beside it are cut: here they
// never are while somebody waits.
func TestSFTPLoginBesideHalfOpen(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-half-open", noCodes,
		patient+"fronts = 1\nlimits.max_startups = 5000\nlimits.startups_per_source = 5000\nlimits.login_grace = \"1h\"\n")
	half := halfOpen(t, s)
	_, client, _ := newFiles(t, s)
	must(t, client.Close())
	if !isOpen(half[len(half)-4]) {
		t.Error("a connection that says nothing was cut before its time")
	}
}

// No descriptor, goroutine or process is left of sessions that end in whatever
// way.
func TestSFTPLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSFTPD(t, "sftp-leaves-"+strings.ReplaceAll(name, " ", "-"), noCodes,
				patient+"fronts = 1\nlimits.max_startups = 5000\nlimits.startups_per_source = 5000\n"+fault.table)
			p := machine.NewPerson(t, "sfv")
			signer, _ := newKey(t, p)
			settle := func() {
				client, _ := files(t, s, p, signer)
				must(t, client.Close())
				machine.Until(t, "all is quiet", func() bool { return len(pieces(t, s)) == 0 })
			}
			settle()
			var was [2]int
			equal := 0
			machine.Until(t, "descriptors rest: ten looks find as many", func() bool {
				before := was
				was = [2]int{descriptors(t, s.PID()), descriptors(t, onlyFront(t, s))}
				if equal++; was != before {
					equal = 0
				}
				return equal == 10
			})
			fault.run(t, s, p, signer)
			settle()
			var now [2]int
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("descriptors of broker and front: %v before, %v in the end: %q", was, now, []string{opened(s.PID()), opened(onlyFront(t, s))})
				}
			})
			machine.Until(t, fmt.Sprintf("no descriptor is left beside %v", was), func() bool {
				now = [2]int{descriptors(t, s.PID()), descriptors(t, onlyFront(t, s))}
				return now[0] <= was[0] && now[1] <= was[1]
			})
			t.Logf("descriptors of broker and front: %v before, %v after", was, now)
			// The front first, which ends with the broker.
			if running := stacks(t, s, onlyFront(t, s)); len(running) != 1 {
				t.Errorf("expected that the front has one goroutine, found\n%s", strings.Join(running, "\n"))
			}
			onlyFront(t, s)
			if running := stacks(t, s, s.PID()); len(running) == 0 || len(running) > 4 {
				t.Errorf("expected that the broker has up to 4 goroutines, found\n%s", strings.Join(running, "\n"))
			}
			s.WaitEnd(t)
		})
	}
}
