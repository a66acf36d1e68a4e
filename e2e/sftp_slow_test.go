package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// stalling is a connection that reads nothing any more once it is told.
type stalling struct {
	net.Conn
	stalled chan struct{}
	over    chan struct{}
}

func (c *stalling) Read(p []byte) (int, error) {
	select {
	case <-c.stalled:
		<-c.over
		return 0, io.EOF
	default:
		return c.Conn.Read(p)
	}
}

// slowReader logs in, asks for far more in each of several channels than any
// buffer holds, and reads nothing.
func slowReader(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer, path string) {
	t.Helper()
	v := &sshClient{person: p, server: s}
	conn := &stalling{Conn: v.dial(t), stalled: make(chan struct{}), over: make(chan struct{})}
	t.Cleanup(func() { close(conn.over) })
	made, news, requests, err := ssh.NewClientConn(conn, s.Address(), &ssh.ClientConfig{
		User: p.Name, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	must(t, err)
	client := ssh.NewClient(made, news, requests)
	var channels []*rawSFTP
	for range slowChannels {
		channels = append(channels, openRaw(t, client, path))
	}
	close(conn.stalled)
	for _, channel := range channels {
		ask := bigEndian(1+4+4+len(channel.handle)+12) + "\x05" + bigEndian(8) + bigEndian(len(channel.handle)) + channel.handle + bigEndian(0) + bigEndian(0) + bigEndian(255<<10)
		go func() {
			// It ends when the connection takes no more.
			for range 100 {
				if writeAll(channel.in, strings.Repeat(ask, 1000)) != nil {
					return
				}
			}
		}()
	}
	time.Sleep(300 * time.Millisecond)
}

// slowChannels are more than the kernel's buffers of a connection have room
// for, at 2 MiB each.
const slowChannels = 6

// rawSFTP is a channel with an open file.
type rawSFTP struct {
	in     io.Writer
	handle string
}

func openRaw(t *testing.T, client *ssh.Client, path string) *rawSFTP {
	t.Helper()
	session, err := client.NewSession()
	must(t, err)
	must(t, session.RequestSubsystem("sftp"))
	in, err := session.StdinPipe()
	must(t, err)
	out, err := session.StdoutPipe()
	must(t, err)
	exchange := func(packet string) string {
		must(t, writeAll(in, bigEndian(len(packet))+packet))
		head := make([]byte, 4)
		_, err := io.ReadFull(out, head)
		must(t, err)
		body := make([]byte, binary.BigEndian.Uint32(head))
		_, err = io.ReadFull(out, body)
		must(t, err)
		return string(body)
	}
	exchange("\x01" + bigEndian(3))
	// SSH_FXP_OPEN to read, answered with the id and a handle.
	reply := exchange("\x03" + bigEndian(7) + bigEndian(len(path)) + path + bigEndian(1) + bigEndian(0))
	return &rawSFTP{in, reply[9:]}
}

func writeAll(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

func bigEndian(n int) string {
	return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// anonymous is the memory of a process that is its own, in KiB.
func anonymous(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	var kib int
	found := regexp.MustCompile(`RssAnon:\s+(\d+)`).FindStringSubmatch(string(status))
	if _, err := fmt.Sscan(found[1], &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// crowdOfSlowReaders are connections of a person that read nothing of the file
// at path, which they have asked for again and again.
func crowdOfSlowReaders(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer, path string) {
	t.Helper()
	must(t, os.WriteFile(path, make([]byte, 1<<20), 0o644))
	var all sync.WaitGroup
	for range manySlow {
		all.Go(func() { slowReader(t, s, p, signer, path) })
	}
	all.Wait()
}

const manySlow = 4

// slowReaders are cut in the end.
func slowReaders(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer) {
	t.Helper()
	crowdOfSlowReaders(t, s, p, signer, "/home/"+p.Name+"/large")
	machine.Until(t, "the slow readers are cut", func() bool { return len(pieces(t, s)) == 0 })
}

// Slow readers do not have the front fill its memory, and nobody else waits for
// them: here nothing ever cuts them, so whoever waited would wait for good.
func TestSFTPSlowReaders(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-slow-readers", noCodes, patient+"fronts = 1\nlimits.keepalive = \"0s\"\nlimits.idle_timeout = \"0s\"\n")
	p := machine.NewPerson(t, "slr")
	signer, _ := newKey(t, p)
	path := "/home/" + p.Name + "/large"
	front := onlyFront(t, s)
	before := anonymous(t, front)
	crowdOfSlowReaders(t, s, p, signer, path)
	client, f := files(t, s, p, signer)
	file, err := f.Open("large")
	must(t, err)
	if n, err := io.Copy(io.Discard, file); err != nil || n != 1<<20 {
		t.Errorf("beside slow readers: %d bytes, %v", n, err)
	}
	must(t, client.Close())
	if grown := anonymous(t, front) - before; grown > manySlow*slowChannels*4<<10 {
		t.Errorf("%d slow readers cost the front %d KiB", manySlow, grown)
	} else {
		t.Logf("%d slow readers cost the front %d KiB", manySlow, grown)
	}
	if workers := children(t, s, "otpgate-sftpd-worker", p.UID); len(workers) < manySlow {
		t.Errorf("expected that the slow readers are still there, found %d workers", len(workers))
	}
}
