package e2e

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/testwait"
)

// ownMount has the person mount a file system of FUSE in the home, which shows
// a directory beside it to that person alone.
func ownMount(t *testing.T, p *machine.Person) (at string, daemon *os.Process) {
	t.Helper()
	at = filepath.Join("/home", p.Name, "own")
	below := at + "-below"
	for _, dir := range []string{at, below} {
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.Chown(dir, p.UID, p.GID))
	}
	cmd := exec.Command("bindfs", "-f", "--no-allow-other", below, at)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(p.UID), Gid: uint32(p.GID)}}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	over := make(chan struct{})
	go func() {
		_ = cmd.Wait() // what it said tells
		close(over)
	}()
	t.Cleanup(func() {
		_ = unix.Unmount(at, unix.MNT_DETACH)
		_ = cmd.Process.Kill()
		<-over
	})
	machine.Until(t, "the person's file system is mounted", func() bool {
		select {
		case <-over:
			t.Fatalf("bindfs: %v: %s", cmd.ProcessState, said.String())
		default:
		}
		var st unix.Statfs_t
		must(t, unix.Statfs(at, &st))
		return st.Type == unix.FUSE_SUPER_MAGIC
	})
	if _, err := os.Stat(filepath.Join(at, "x")); !errors.Is(err, fs.ErrPermission) {
		t.Fatalf("expected a mount that root may not look into, found %v", err)
	}
	return at, cmd.Process
}

// ownMountScript does with open files there what OpenSSH's server can.
const ownMountScript = `
import hashlib
address, port, user, key = sys.argv[1:]
t = connected(address, port)
left = t.auth_publickey(user, paramiko.Ed25519Key(filename=key))
assert left == [], left
s = paramiko.SFTPClient.from_transport(t)
s.chdir("own")
def attempt(name, what):
    try:
        result = what()
    except IOError as e:
        result = "IOError " + str(e.errno)
    print(name, result)
def look(st):
    return st.st_size, oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime if st.st_mtime < 2000 else "now"
data = bytes(range(256)) * 9001 + b"end"
def put():
    with s.open("file", "w") as f:
        f.set_pipelined(True)
        f.write(data)
def get():
    with s.open("file", "r") as f:
        return hashlib.sha256(f.read()).hexdigest()
attempt("put", put)
attempt("get", get)
f = s.open("file", "r+")
attempt("fstat", lambda: look(f.stat()))
def beyond():
    f.seek(10**9)
    return f.read(5)
attempt("beyond the end", beyond)
def within():
    f.seek(70000)
    f.write(b"written over")
    f.seek(69998)
    return f.read(16)
attempt("write over", within)
attempt("truncate", lambda: f.truncate(100000))
attempt("chmod", lambda: f.chmod(0o4640))
attempt("utime", lambda: f.utime((1000, 1001)))
attempt("chown", lambda: f.chown(0, 0))
attempt("fstat", lambda: look(f.stat()))
def statvfs(name, handle):
    kind, msg = s._request(paramiko.sftp.CMD_EXTENDED, name, handle)
    numbers = [msg.get_int64() for _ in range(11)]
    return kind, numbers[0], numbers[1], numbers[2], numbers[10]
attempt("fstatvfs", lambda: statvfs("fstatvfs@openssh.com", f.handle))
attempt("statvfs", lambda: statvfs("statvfs@openssh.com", s._adjust_cwd(".")))
attempt("fsync", lambda: s._request(paramiko.sftp.CMD_EXTENDED, "fsync@openssh.com", f.handle)[0])
def copy(source, target):
    with s.open(source, "r") as a, s.open(target, "w") as b:
        # Each offset and length is two numbers of 32 bits.
        s._request(paramiko.sftp.CMD_EXTENDED, "copy-data", a.handle, 0, 7, 0, 0, b.handle, 0, 0)
attempt("copy there", lambda: copy("file", "copied"))
attempt("copy out", lambda: copy("file", "../copied"))
attempt("copy in", lambda: copy("../copied", "back"))
attempt("copied", lambda: [look(s.stat(n)) for n in ("copied", "../copied", "back")])
def append():
    with s.open("copied", "a") as a:
        a.write(b"more")
    return look(s.stat("copied"))
attempt("append", append)
attempt("exclusive", lambda: s.open("copied", "x"))
attempt("missing", lambda: s.open("missing", "r"))
attempt("read-only", lambda: s.open("copied", "r").write(b"x"))
attempt("directory", lambda: s.open(".", "w"))
f.close()
attempt("list", lambda: sorted((a.filename,) + look(a) for a in s.listdir_attr(".")))
print("last")
`

// Files on a person's own mount, which the kernel shows to nobody else, can be
// used as through sshd, and a refused one leaves nothing behind.
func TestSFTPOwnMount(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-own-mount", noCodes, patient)
	machine.WriteService(t, "sftp-own-mount", "@include common-auth\n@include common-account\n@include common-session\n")
	sshd := hosts.StartSSHD(t, "sftp-own-mount", "Subsystem sftp internal-sftp")
	c := newScene(t, s, "own")
	at, _ := ownMount(t, c.person)
	run := func(port int) (said, left string) {
		c.write("client.py", paramikoConnects+ownMountScript, 0o644)
		said = c.run("/usr/bin/python3", "client.py", c.person.Address, strconv.Itoa(port), c.person.Name, c.key)
		below := at + "-below"
		left = shell(t, "cd "+below+" && find . -type f -printf '%p %m %s\n' | sort && sha256sum $(find . -type f | sort) ../copied && rm ../copied")
		// Through the mount: the kernel would remember for a while what was taken
		// away below it.
		rm := exec.Command("sh", "-euc", "rm -r "+at+"/*")
		rm.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(c.person.UID), Gid: uint32(c.person.GID)}}
		if output, err := rm.CombinedOutput(); err != nil {
			t.Fatalf("empty the mount: %v: %s", err, output)
		}
		return said, left
	}
	said, left := run(sshd.Port)
	if !strings.HasSuffix(said, "last\n") || strings.Count(said, "IOError") != 5 {
		t.Errorf("sshd: expected five refusals, found:\n%s", said)
	}
	saidOurs, leftOurs := run(s.Port)
	if said != saidOurs {
		t.Errorf("sshd said\n%s\nwe said\n%s", said, saidOurs)
	}
	if left != leftOurs {
		t.Errorf("sshd left\n%s\nwe left\n%s", left, leftOurs)
	}
	c.write("commands", "put sent own/one\nget own/one got\ndf own\nls -l own\n", 0o644)
	c.run("sftp", append(c.ssh("BatchMode=no"), "-b", "commands", c.person.Name+"@127.0.0.1")...)
	c.same(c.dir + "/got")
	c.same(at + "-below/one")
}

func shell(t *testing.T, script string) string {
	t.Helper()
	output, err := exec.Command("sh", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, output)
	}
	return string(output)
}

// A file system whose program does not answer holds up nobody but the person:
// no thread of the front waits for it.
func TestSFTPOwnMountThatHangs(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-own-hangs", noCodes, patient+"fronts = 1\n")
	p := machine.NewPerson(t, "own")
	signer, _ := newKey(t, p)
	at, daemon := ownMount(t, p)
	const many = 20
	var waiting []*sftp.File
	for i := range many {
		name := strconv.Itoa(i)
		must(t, os.WriteFile(filepath.Join(at+"-below", name), []byte("text "+name), 0o644))
		_, f := files(t, s, p, signer)
		file, err := f.Open("own/" + name)
		must(t, err)
		waiting = append(waiting, file)
	}
	front := onlyFront(t, s)
	testwait.Stop(t, daemon.Pid)
	results := make(chan error, many)
	for i, file := range waiting {
		go func() {
			text, err := io.ReadAll(file)
			if want := "text " + strconv.Itoa(i); err == nil && string(text) != want {
				err = fmt.Errorf("read %q, expected %q", text, want)
			}
			results <- errors.Join(err, file.Close())
		}()
	}
	machine.Until(t, "all workers wait for the file system", func() bool {
		n := 0
		for _, worker := range children(t, s, "otpgate-sftpd-worker", p.UID) {
			n += reading(worker)
		}
		return n == many
	})
	if n := reading(front); n != 0 {
		t.Errorf("%d threads of the front wait for the person's file system", n)
	}
	other := machine.NewPerson(t, "own")
	signer, _ = newKey(t, other)
	_, f := files(t, s, other, signer)
	file, err := f.Create("beside")
	must(t, err)
	_, err = file.Write([]byte("text"))
	must(t, errors.Join(err, file.Close()))
	must(t, daemon.Signal(syscall.SIGCONT))
	for range many {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// reading is how many threads of a process are in pread(2).
func reading(pid int) (n int) {
	calls, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	for _, path := range calls {
		// A thread that has ended meanwhile reads nothing.
		call, _ := os.ReadFile(path)
		if strings.HasPrefix(string(call), strconv.Itoa(unix.SYS_PREAD64)+" ") {
			n++
		}
	}
	return n
}
