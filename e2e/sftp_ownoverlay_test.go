package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/testwait"
)

// overlayScript has a file system of FUSE, and one of the kernel's laid over it, in a
// namespace of the person's own. It says the process ids of the first one's program
// and of itself, and keeps a file of the second one open.
const overlayScript = `
cd "$1"
mkdir below own empty seen
printf text > below/file
bindfs -f -o allow_other below own &
until mountpoint -q own; do kill -0 $!; sleep 0.05; done
mount -t overlay overlay -o lowerdir=own:empty seen
exec 9< seen/file
echo $! $$
exec sleep 100000
`

// ownOverlay runs it until the test ends, and returns where the person's other
// processes find the file.
func ownOverlay(t *testing.T, p *machine.Person) (file string, daemon *os.Process) {
	t.Helper()
	dir := filepath.Join("/home", p.Name, "overlay")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Chown(dir, p.UID, p.GID))
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "bash", "-euc", overlayScript, "-", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: uint32(p.UID), Gid: uint32(p.GID)}}
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // killed
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	must(t, err)
	var fuse, holder int
	_, err = fmt.Sscan(line, &fuse, &holder)
	must(t, err)
	daemon, err = os.FindProcess(fuse)
	must(t, err)
	file = fmt.Sprintf("/proc/%d/fd/9", holder)
	var st unix.Statfs_t
	must(t, unix.Statfs(file, &st))
	if st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		t.Fatalf("expected that %s is on an overlay, found %#x", file, st.Type)
	}
	return file, daemon
}

// A file system that shows what another one has does not answer where that one does
// not. No thread of the front waits for such a file either.
func TestSFTPOwnOverlayThatHangs(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-own-overlay", noCodes, patient+"fronts = 1\n")
	p := machine.NewPerson(t, "own")
	signer, _ := newKey(t, p)
	path, daemon := ownOverlay(t, p)
	hangs(t, s, p, signer, path, daemon, func(file *sftp.File) error {
		text, err := io.ReadAll(file)
		if err == nil && string(text) != "text" {
			err = fmt.Errorf("read %q", text)
		}
		return err
	})
}

// hangs has the program of a file system stop while many workers read a file that is
// shown from there, and looks that no thread of the front waits for it. read says what is
// wrong with what it got, once the program goes on.
func hangs(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer, path string, daemon *os.Process, read func(*sftp.File) error) {
	t.Helper()
	const many = 20
	var waiting []*sftp.File
	for range many {
		_, f := files(t, s, p, signer)
		file, err := f.Open(path)
		must(t, err)
		waiting = append(waiting, file)
	}
	front := onlyFront(t, s)
	testwait.Stop(t, daemon.Pid)
	results := make(chan error, many)
	for _, file := range waiting {
		go func() { results <- errors.Join(read(file), file.Close()) }()
	}
	held := 0
	machine.Until(t, "all wait for the file system", func() bool {
		n := 0
		for _, worker := range children(t, s, "otpgate-sftpd-worker", p.UID) {
			n += reading(worker)
		}
		held = reading(front)
		return n+held == many
	})
	if held != 0 {
		t.Errorf("%d threads of the front wait for the person's file system", held)
	}
	must(t, daemon.Signal(syscall.SIGCONT))
	for range many {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
