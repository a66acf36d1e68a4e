package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The kernel decides, by the person's uid and all of the person's groups.
func TestSFTPRights(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-rights", noCodes, patient+"umask = \"027\"\n")
	p, other := machine.NewPerson(t, "sfp"), machine.NewPerson(t, "sfp")
	group := "grp" + p.Name
	machine.NewGroup(t, group)
	machine.JoinGroup(t, p.Name, group)
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chmod(dir, 0o755))
	shared := filepath.Join(dir, "shared")
	must(t, os.Mkdir(shared, 0o770))
	must(t, exec.Command("chgrp", group, shared).Run())
	must(t, os.Chmod(shared, 0o770|os.ModeSetgid))
	secret := filepath.Join("/home", other.Name, "secret")
	must(t, os.WriteFile(secret, []byte("x"), 0o600))
	must(t, os.Chown(secret, other.UID, other.GID))
	signer, _ := newKey(t, p)
	_, f := files(t, s, p, signer)
	for name, try := range map[string]func() error{
		"read":   func() error { _, err := f.Open(secret); return err },
		"write":  func() error { _, err := f.Create("/etc/otpgate-was-here"); return err },
		"list":   func() error { _, err := f.ReadDir("/root"); return err },
		"rename": func() error { return f.Rename(secret, "/home/"+p.Name+"/mine") },
		"remove": func() error { return f.Remove(secret) },
		"chmod":  func() error { return f.Chmod(secret, 0o777) },
		"chown":  func() error { return f.Chown("/home/"+p.Name+"/.ssh/authorized_keys", other.UID, other.GID) },
		"link":   func() error { return f.Link(secret, "/home/"+p.Name+"/mine") },
		"shadow": func() error { _, err := f.Open("/etc/shadow"); return err },
		"users":  func() error { _, err := f.ReadDir(s.Site.Users); return err },
		"by link": func() error {
			must(t, f.Symlink(secret, "/home/"+p.Name+"/link"))
			_, err := f.Open("/home/" + p.Name + "/link")
			return err
		},
		"the worker itself": func() error { _, err := f.Open("/proc/self/mem"); return err },
	} {
		if err := try(); err == nil {
			t.Errorf("%s: it worked", name)
		}
	}
	file, err := f.Create(shared + "/file")
	must(t, err)
	must(t, file.Close())
	info, err := os.Stat(shared + "/file")
	must(t, err)
	gid := info.Sys().(*syscall.Stat_t).Gid
	if above, err := os.Stat(shared); err != nil || above.Sys().(*syscall.Stat_t).Gid != gid || info.Mode().Perm() != 0o640 {
		t.Errorf("expected the directory's group and mode 0640, found gid %d mode %v, %v", gid, info.Mode(), err)
	}
}

// Nobody leaves a chroot, by whatever kind of path.
func TestSFTPChroot(t *testing.T) {
	t.Parallel()
	roots := filepath.Join("/run", "sftp-roots")
	s := startSFTPD(t, "sftp-chroot", noCodes, patient+"root = \""+roots+"/%u\"\n")
	p := machine.NewPerson(t, "sfj")
	signer, _ := newKey(t, p)
	root := filepath.Join(roots, p.Name)
	must(t, os.MkdirAll(filepath.Join(root, "in"), 0o755))
	must(t, os.Chown(filepath.Join(root, "in"), p.UID, p.GID))
	must(t, os.WriteFile(filepath.Join(roots, "outside"), []byte("x"), 0o644))
	client, f := files(t, s, p, signer)
	if home, err := f.Getwd(); err != nil || home != "/" {
		t.Errorf("expected / for a home that is not in the root, found %q, %v", home, err)
	}
	must(t, f.Symlink("../../outside", "/in/relative"))
	must(t, f.Symlink(roots+"/outside", "/in/absolute"))
	must(t, f.Symlink("/..", "/in/up"))
	for _, path := range []string{"/in/relative", "/in/absolute", "/../outside", "/in/up/outside", "../../../outside", "/etc/passwd", "/proc/self/root/etc/passwd", roots + "/outside"} {
		if _, err := f.Stat(path); err == nil {
			t.Errorf("%s is there", path)
		}
	}
	if err := f.Link("/in/absolute", "/in/hard"); err == nil {
		if _, err := f.Open("/in/hard"); err == nil {
			t.Error("a hard link leads out")
		}
	}
	file, err := f.Create("/in/file")
	must(t, err)
	must(t, file.Close())
	if _, err := os.Stat(root + "/in/file"); err != nil {
		t.Error(err)
	}
	client.Close()
	// A root that others can write is no root.
	must(t, os.Chown(root, p.UID, p.GID))
	v := &sshClient{person: p, server: s}
	if v.in(t, ssh.PublicKeys(signer)) {
		t.Errorf("in with a root that is the person's own: %s", v.told)
	}
	machine.Log.Expect(t, "user="+p.Name+" ", "sftp.root", "owned by uid")
}

// Shells and commands are refused, with a status.
func TestSFTPNoShell(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-shell", noCodes, patient)
	_, client, f := newFiles(t, s)
	for _, try := range []func(*ssh.Session) error{
		func(s *ssh.Session) error { return s.Run("id") },
		func(s *ssh.Session) error { must(t, s.Shell()); return s.Wait() },
	} {
		session, err := client.NewSession()
		must(t, err)
		var said strings.Builder
		session.Stderr = &said
		err = try(session)
		exit, ok := err.(*ssh.ExitError)
		if !ok || exit.ExitStatus() != 1 || !strings.Contains(said.String(), "sftp connections only") {
			t.Errorf("found %v, %q", err, said.String())
		}
	}
	session, err := client.NewSession()
	must(t, err)
	if err := session.RequestSubsystem("shell"); err == nil {
		t.Error("another subsystem is there")
	}
	if _, err := client.Dial("tcp", s.Address()); err == nil {
		t.Error("a port was forwarded")
	}
	if _, _, err := client.SendRequest("tcpip-forward", true, ssh.Marshal(struct {
		Host string
		Port uint32
	}{"127.0.0.1", 0})); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadDir("."); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// wrongAtOnce gives a wrong password in ten connections from the person's address
// at once: of what is done wrong one after the other, 5 seconds each, a slow
// machine has all forgiven before the next.
func wrongAtOnce(t *testing.T, s *hosts.SFTPD, p *machine.Person, user string) {
	t.Helper()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if v := (&sshClient{person: p, server: s, user: user}); v.in(t, ssh.Password("wrong")) {
				t.Error("in by a wrong password")
			}
		})
	}
	all.Wait()
}

// Who may have so many connections and no more; an address that keeps failing
// is turned away; root is not let in.
func TestSFTPLimits(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-limits", noCodes, "limits.sessions_per_user = 2\n")
	p := machine.NewPerson(t, "sfn")
	signer, _ := newKey(t, p)
	first, _ := files(t, s, p, signer)
	files(t, s, p, signer)
	v := &sshClient{person: p, server: s}
	if v.in(t, ssh.PublicKeys(signer)) {
		t.Error("a third connection is in")
	}
	// As where a directory lets alice log in as ALICE too.
	other := machine.NewPerson(t, "sfn")
	other.ShareUID(t, p.UID)
	authorize(t, other, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	v = &sshClient{person: other, server: s}
	if v.in(t, ssh.PublicKeys(signer)) {
		t.Error("a third connection is in by another name")
	}
	first.Close()
	machine.Until(t, "there is room again", func() bool {
		v := &sshClient{person: p, server: s}
		return v.in(t, ssh.PublicKeys(signer))
	})
	// The one that has just gone keeps its room for a moment.
	machine.Until(t, "where there is room, the other name is in", func() bool {
		v := &sshClient{person: other, server: s}
		return v.in(t, ssh.PublicKeys(signer))
	})
	guess := machine.NewPerson(t, "sfn")
	turnedAway := func() bool {
		v := &sshClient{person: guess, server: s}
		v.in(t, ssh.Password("wrong"))
		return strings.Contains(v.told, "reset") || strings.Contains(v.told, "EOF")
	}
	machine.Until(t, "an address is turned away that keeps failing", func() bool {
		wrongAtOnce(t, s, guess, guess.Name)
		return turnedAway()
	})
	if _, err := (&sshClient{person: p, server: s}).connect(t, ssh.PublicKeys(signer)); err != nil {
		t.Errorf("another address: %v", err)
	}
	root := &machine.Person{Name: "root", Address: "127.9.9.9"}
	must(t, os.MkdirAll("/root/.ssh", 0o700))
	v = &sshClient{person: root, server: s}
	if v.in(t, ssh.PublicKeys(signer)) {
		t.Error("root is in")
	}
}
