package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/machine"
)

// A root with /proc in it is none: descriptors of what is outside lead there.
func TestSFTPChrootWithProc(t *testing.T) {
	t.Parallel()
	roots := filepath.Join("/run", "sftp-roots-proc")
	s := startSFTPD(t, "sftp-root-proc", noCodes, patient+"root = \""+roots+"/%u\"\n")
	p := machine.NewPerson(t, "sfq")
	signer, _ := newKey(t, p)
	proc := filepath.Join(roots, p.Name, "proc")
	must(t, os.MkdirAll(proc, 0o755))
	must(t, unix.Mount("/proc", proc, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(proc, unix.MNT_DETACH)) })
	v := &sshClient{person: p, server: s}
	if _, err := v.connect(t, ssh.PublicKeys(signer)); err != nil {
		machine.Log.Expect(t, "user="+p.Name+" ", "sftp.root", "/proc")
		return
	}
	t.Errorf("in")
	_, f := files(t, s, p, signer)
	for n := range 20 {
		path := fmt.Sprintf("/proc/self/fd/%d/../../../etc/passwd", n)
		if _, err := f.Stat(path); err == nil {
			t.Errorf("%s leads out", path)
		}
	}
}

// Who could not be let in anyhow is not asked, and keeps the code.
func TestSFTPRootBeforeCode(t *testing.T) {
	t.Parallel()
	root := filepath.Join("/run", "sftp-root-later")
	s := startSFTPD(t, "sftp-root-later", "", patient+"root = \""+root+"\"\n")
	p := machine.NewPerson(t, "sfq").Enroll(t, s.Site.Users)
	code := p.Code(t, 0)
	expectOut(t, p, s.Login(t, p, answers(p, code), nil), 0)
	machine.Log.Expect(t, "user="+p.Name+" ", "sftp.root", "make it with install -d -m 755 "+root)
	must(t, os.Mkdir(root, 0o755))
	t.Cleanup(func() { must(t, os.Remove(root)) })
	expectIn(t, p, s.Login(t, p, answers(p, code), nil), 1)
}
