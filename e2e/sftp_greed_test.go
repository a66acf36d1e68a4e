package e2e

import (
	"encoding/binary"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/machine"
)

// greedy opens files of the person's until none can be had any more, in
// sessions of ever fewer, as one that gets no more ends and gives back its own.
func greedy(t *testing.T, client *ssh.Client, p *machine.Person) (opened int) {
	t.Helper()
	path := "/home/" + p.Name + "/x"
	must(t, os.WriteFile(path, []byte("x"), 0o644))
	for _, want := range []int{256, 128, 64, 32, 16, 8, 4, 2, 1, 1} {
		session, err := sftp.NewClient(client)
		if err != nil {
			continue
		}
		t.Cleanup(func() { session.Close() })
		got := 0
		for ; got < want; got++ {
			// It is left open on purpose.
			if _, err := session.Open(path); err != nil {
				break
			}
		}
		if _, err := session.Getwd(); err == nil {
			opened += got
		}
	}
	return opened
}

// One person who opens all that can be opened keeps nobody else out: a front
// has descriptors left for others.
func TestSFTPGreedyFiles(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-greedy", noCodes, "fronts = 1\n")
	const all = 600
	must(t, unix.Prlimit(s.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: all, Max: all}, nil))
	var front []int
	fronts := func() bool {
		front = children(t, s, "otpgate-sftpd-front", nobody(t))
		return len(front) == 1
	}
	machine.Until(t, "a front", fronts)
	old := front[0]
	must(t, syscall.Kill(old, syscall.SIGKILL))
	machine.Until(t, "a front with that limit", func() bool { return fronts() && front[0] != old })
	for range 3 {
		p, client, _ := newFiles(t, s)
		t.Logf("%d files of %s are open", greedy(t, client, p), p.Name)
	}
	_, _, other := newFiles(t, s)
	if _, err := other.Getwd(); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if old = front[0]; !fronts() || front[0] != old {
		t.Errorf("fronts: %v, expected %d", front, old)
	}
}

// A copy within the server ends with the connection that asked for it. It is one
// of holes, so large that no machine comes to its end, which takes no room where
// they are shared.
func TestSFTPCopyOfOneWhoLeft(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-copy", noCodes, "")
	p, client, _ := newFiles(t, s)
	const size = 1 << 60
	disk := "/home/" + p.Name + "/disk"
	must(t, os.Mkdir(disk, 0o755))
	btrfs(t, disk, "chmod 777 .")
	from, to := disk+"/from", disk+"/to"
	for _, path := range []string{from, to} {
		must(t, os.WriteFile(path, nil, 0o644))
		must(t, os.Chown(path, p.UID, -1))
	}
	must(t, os.Truncate(from, size))
	session, err := client.NewSession()
	must(t, err)
	in, err := session.StdinPipe()
	must(t, err)
	must(t, session.RequestSubsystem("sftp"))
	text := func(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }
	handle := func(n byte) string { return text("\x00\x00\x00" + string(rune(n)) + "\x00\x00\x00\x00") }
	zero := "\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, message := range []string{
		"\x01\x00\x00\x00\x03",
		"\x03\x00\x00\x00\x01" + text(from) + "\x00\x00\x00\x01\x00\x00\x00\x00",
		"\x03\x00\x00\x00\x02" + text(to) + "\x00\x00\x00\x02\x00\x00\x00\x00",
		"\xc8\x00\x00\x00\x03" + text("copy-data") + handle(0) + zero + zero + handle(1) + zero,
	} {
		_, err := io.WriteString(in, text(message))
		must(t, err)
	}
	copied := func() int64 {
		info, err := os.Stat(to)
		must(t, err)
		return info.Size()
	}
	machine.Until(t, "the copy is under way", func() bool { return copied() > 0 })
	client.Close()
	machine.Until(t, "the session is over", func() bool { return len(children(t, s, "otpgate-sftpd-worker", p.UID)) == 0 })
	if n := copied(); n == size {
		t.Errorf("all of it was copied after the client had gone")
	}
}
