package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
	"github.com/otpgate/otpgate/internal/testwait"
)

// noCodes is a policy for tests about what comes after the login.
const noCodes = "[policy]\nexempt = [\"@all\"]\n"

// files logs a new person in and returns the person's files.
func files(t *testing.T, s *hosts.SFTPD, p *machine.Person, signer ssh.Signer) (*ssh.Client, *sftp.Client) {
	t.Helper()
	v := &sshClient{person: p, server: s}
	client, err := v.connect(t, ssh.PublicKeys(signer))
	if err != nil {
		t.Fatalf("log in: %v: %s%s", err, s.Output(), machine.Text(machine.Log.Lines("service="+s.Service()+" ")))
	}
	files, err := sftp.NewClient(client)
	if err != nil {
		t.Fatalf("sftp: %v\n%s", err, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
	t.Cleanup(func() { files.Close() })
	return client, files
}

func newFiles(t *testing.T, s *hosts.SFTPD) (*machine.Person, *ssh.Client, *sftp.Client) {
	t.Helper()
	p := machine.NewPerson(t, "sfx")
	signer, _ := newKey(t, p)
	client, f := files(t, s, p, signer)
	return p, client, f
}

func nobody(t *testing.T) int {
	t.Helper()
	output, err := exec.Command("id", "-u", "nobody").Output()
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(strings.TrimSpace(string(output)))
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// A worker that is killed ends its person's sessions, a front its connections;
// nobody else's, and the next login works.
func TestSFTPKilledPieces(t *testing.T) {
	t.Parallel()
	for _, per := range []string{"session", "user"} {
		t.Run(per, func(t *testing.T) {
			t.Parallel()
			s := startSFTPD(t, "sftp-killed-"+per, noCodes, patient+"fronts = 2\nworker = \""+per+"\"\n")
			p, _, mine := newFiles(t, s)
			_, _, theirs := newFiles(t, s)
			if err := syscall.Kill(oneChild(t, s, "otpgate-sftpd-worker", p.UID), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if _, err := mine.ReadDir("."); err == nil {
				t.Error("expected that the session of the killed worker is over")
			}
			if _, err := theirs.ReadDir("."); err != nil {
				t.Errorf("another person's session: %v", err)
			}
			signer, _ := newKeyAgain(t, p)
			_, again := files(t, s, p, signer)
			if _, err := again.ReadDir("."); err != nil {
				t.Errorf("after the worker was killed: %v", err)
			}
			var fronts []int
			two := func() bool {
				fronts = children(t, s, "otpgate-sftpd-front", nobody(t))
				return len(fronts) == 2
			}
			machine.Until(t, "two fronts", two)
			dead := fronts[0]
			if err := syscall.Kill(dead, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			alive := 0
			for _, f := range []*sftp.Client{theirs, again} {
				if _, err := f.ReadDir("."); err == nil {
					alive++
				}
			}
			if alive == 0 {
				t.Error("one front was killed, and the sessions of both are over")
			}
			machine.Until(t, "another front is there", func() bool { return two() && !slices.Contains(fronts, dead) })
			for range 4 {
				newFiles(t, s)
			}
		})
	}
}

// Who logs in while the shared session that would be joined is just ending gets
// a new one.
func TestSFTPSessionThatEnds(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-ending", noCodes, patient+"worker = \"user\"\n")
	p := machine.NewPerson(t, "sfx")
	signer, _ := newKey(t, p)
	files(t, s, p, signer)
	login := oneChild(t, s, "otpgate-sftpd-login", anybody)
	// It is asked, and does not come to the answer.
	testwait.Stop(t, login)
	in := make(chan bool)
	go func() {
		v := &sshClient{person: p, server: s}
		in <- v.in(t, ssh.PublicKeys(signer))
	}()
	select {
	case <-in:
		t.Fatal("the session was not asked")
	case <-time.After(500 * time.Millisecond):
	}
	must(t, syscall.Kill(login, syscall.SIGKILL))
	if !<-in {
		t.Errorf("refused: %s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
	}
}

// newKeyAgain puts another key in place of the person's.
func newKeyAgain(t *testing.T, p *machine.Person) (ssh.Signer, string) {
	t.Helper()
	signer := ed25519Key(t)
	return signer, authorize(t, p, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

// descriptors counts those of a process.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// opened says what a process has open.
func opened(pid int) string {
	var all []string
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range links {
		to, _ := os.Readlink(link)
		all = append(all, filepath.Base(link)+" "+to)
	}
	return strings.Join(all, ", ")
}

// A full disk is told as what it is, and the session goes on.
func TestSFTPFullDisk(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-full", noCodes, patient)
	p, _, f := newFiles(t, s)
	disk := "/home/" + p.Name + "/disk"
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m,mode=777"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	file, err := f.Create("disk/big")
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.ReadFrom(strings.NewReader(strings.Repeat("x", 4<<20)))
	if err == nil {
		t.Error("expected an error from a full disk")
	}
	_ = file.Close()
	machine.Log.Expect(t, "user="+p.Name+" ", "op=transfer", "no space left on device")
	if err := f.Remove("disk/big"); err != nil {
		t.Errorf("after the disk was full: %v", err)
	}
}

// quotaDisk mounts a file system on dir that gives the directory limited in it
// 2 MiB, whatever else is free.
func quotaDisk(t *testing.T, dir string) {
	t.Helper()
	btrfs(t, dir, "btrfs quota enable . && btrfs subvolume create limited && btrfs qgroup limit 2M limited && chmod 777 limited")
}

// btrfs mounts such a file system on dir, which every kernel of Debian has, and
// runs a script there.
func btrfs(t *testing.T, dir, then string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	script := `for n in $(seq 0 63); do test -e /dev/loop$n || mknod /dev/loop$n b 7 $n; done
		test -e /dev/loop-control || mknod /dev/loop-control c 10 237
		truncate -s 128M ` + image + ` && mkfs.btrfs -q ` + image + ` && mount -o loop ` + image + " " + dir + ` && cd ` + dir + "\n" + then
	if output, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("a file system: %v: %s", err, output)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// A quota that is used up is told as what it is, and the session goes on.
func TestSFTPQuota(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-quota", noCodes, patient)
	p, _, f := newFiles(t, s)
	disk := "/home/" + p.Name + "/disk"
	must(t, os.Mkdir(disk, 0o755))
	quotaDisk(t, disk)
	file, err := f.Create("disk/limited/big")
	must(t, err)
	_, err = file.ReadFrom(strings.NewReader(strings.Repeat("x", 8<<20)))
	if err == nil || !strings.Contains(err.Error(), "quota") {
		t.Errorf("expected to be told of the quota, found %v", err)
	}
	_ = file.Close()
	machine.Log.Expect(t, "user="+p.Name+" ", "op=transfer", "disk quota exceeded")
	must(t, f.Remove("disk/limited/big"))
	// What was removed counts until the file system has written that down.
	machine.Until(t, "there is room again", func() bool {
		file, err := f.Create("disk/limited/small")
		if err != nil && strings.Contains(err.Error(), "quota") {
			return false
		}
		must(t, err)
		_, err = file.Write(make([]byte, 64<<10))
		return errors.Join(err, file.Close()) == nil
	})
}

// SIGTERM lets a transfer finish and nothing new begin; SIGHUP changes
// settings without touching who is in.
func TestSFTPReloadAndDrain(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-drain", noCodes, patient)
	p, _, f := newFiles(t, s)
	idle, _, _ := newFiles(t, s)
	if err := os.WriteFile("/home/"+p.Name+"/banner", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	banner := filepath.Join(filepath.Dir(s.Site.Config), "banner")
	if err := os.WriteFile(banner, []byte("Only for those who belong here.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(s.Site.Config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(config), "[sftp]\n", "[sftp]\nbanner = \""+banner+"\"\n", 1)
	if err := os.WriteFile(s.Site.Config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	machine.Until(t, "the banner is shown", func() bool {
		v := &sshClient{person: p, server: s}
		_, _ = v.connect(t)
		return strings.Contains(v.told, "belong here")
	})
	file, err := f.Create("slow")
	if err != nil {
		t.Fatalf("after SIGHUP: %v", err)
	}
	if _, err := file.Write([]byte("first ")); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGTERM)
	machine.Until(t, "no connection is taken", func() bool {
		conn, err := net.Dial("tcp", s.Address())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	machine.Until(t, "the idle connection is ended", func() bool { return len(children(t, s, "otpgate-sftpd-worker", idle.UID)) == 0 })
	if _, err := file.Write([]byte("second")); err != nil {
		t.Errorf("the transfer was cut: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Errorf("the transfer was cut: %v", err)
	}
	s.WaitEnd(t)
	data, err := os.ReadFile("/home/" + p.Name + "/slow")
	if err != nil || string(data) != "first second" {
		t.Errorf("found %q, %v", data, err)
	}
}

// A broker that is killed cuts no transfer, and nothing of it is left once the
// transfers are done.
func TestSFTPKilledBroker(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-broker", noCodes, patient)
	p, _, f := newFiles(t, s)
	file, err := f.Create("slow")
	must(t, err)
	_, err = file.Write([]byte("first "))
	must(t, err)
	parts := append(children(t, s, "otpgate-sftpd-worker", p.UID), children(t, s, "otpgate-sftpd-login", 0)...)
	parts = append(parts, children(t, s, "otpgate-sftpd-front", nobody(t))...)
	if len(parts) < 3 {
		t.Fatalf("parts: %v", parts)
	}
	s.Signal(t, syscall.SIGKILL)
	s.WaitEnd(t)
	time.Sleep(200 * time.Millisecond)
	_, err = file.Write([]byte("second"))
	must(t, err)
	must(t, file.Close())
	machine.Until(t, "all parts have ended", func() bool {
		for _, pid := range parts {
			// Process 1 of the machine buries them.
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
				return false
			}
		}
		return true
	})
	data, err := os.ReadFile("/home/" + p.Name + "/slow")
	if err != nil || string(data) != "first second" {
		t.Errorf("found %q, %v", data, err)
	}
}
