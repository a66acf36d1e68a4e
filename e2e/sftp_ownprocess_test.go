package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pkg/sftp"

	"github.com/otpgate/otpgate/e2e/machine"
)

// mappedFile maps a file, says where it would have to be read, and does not look.
// Where Yama is, it lets the worker look.
const mappedFile = `
import ctypes, mmap, os, sys, time
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)
m = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
print("/proc/%d/mem %d" % (os.getpid(), ctypes.addressof(ctypes.c_char.from_buffer(m))), flush=True)
time.sleep(100000)
`

// runMapped runs it as the person until the test ends.
func runMapped(t *testing.T, p *machine.Person, file string) (path string, offset int64) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "-c", mappedFile, file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.UID), Gid: uint32(p.GID)}}
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	must(t, err)
	_, err = fmt.Sscan(line, &path, &offset)
	must(t, err)
	return path, offset
}

// A process of the person's can show a file of FUSE as its memory, and a file of
// /proc shows that. No thread of the front waits for it either.
func TestSFTPOwnProcessThatHangs(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-own-process", noCodes, patient+"fronts = 1\n")
	p := machine.NewPerson(t, "own")
	signer, _ := newKey(t, p)
	at, daemon := ownMount(t, p)
	must(t, os.WriteFile(filepath.Join(at+"-below", "file"), append([]byte("text"), make([]byte, 4092)...), 0o644))
	path, offset := runMapped(t, p, filepath.Join(at, "file"))
	hangs(t, s, p, signer, path, daemon, func(file *sftp.File) error {
		text := make([]byte, 4)
		_, err := file.ReadAt(text, offset)
		if err == nil && string(text) != "text" {
			err = fmt.Errorf("read %q", text)
		}
		return err
	})
}
