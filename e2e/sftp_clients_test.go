package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// scene is a person with a key, something to send, and a directory for the
// client's own files.
type scene struct {
	t       *testing.T
	server  *hosts.SFTPD
	in      *network.Namespace // where clients run; nil is the machine's own network
	person  *machine.Person
	signer  ssh.Signer
	key     string // path of the private key
	dir     string
	data    []byte // what is in dir/sent
	askpass string // a program that types the password and this code
}

// remembered has the server remember a code, as clients with several
// connections need it.
const remembered = "[policy]\nsessions = { sftp = \"1h\" }\n"

func newScene(t *testing.T, s *hosts.SFTPD, name string) *scene {
	t.Helper()
	c := &scene{t: t, server: s, in: s.Site.In, person: machine.NewPerson(t, name).Enroll(t, s.Site.Users), dir: t.TempDir(), data: make([]byte, 3<<20+17)}
	c.signer, c.key = newKey(t, c.person)
	if _, err := rand.Read(c.data); err != nil {
		t.Fatal(err)
	}
	c.write("sent", string(c.data), 0o644)
	c.write("tree/a/b/deep", "deep", 0o644)
	c.write("tree/a/with a blank", "blank", 0o644)
	c.askpass = filepath.Join(c.dir, "askpass")
	must(t, testprogram.Write(c.askpass, fmt.Appendf(nil, "#!/bin/sh\ncase $1 in *ode*) echo %s;; *) echo '%s';; esac\n", c.person.Code(t, 0), c.person.Password)))
	return c
}

func (c *scene) write(name, text string, mode os.FileMode) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// run runs a client that is not asked anything on a terminal.
func (c *scene) run(name string, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), machine.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	// Those written in Go say where they hang.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "HOME="+c.dir, "SSH_ASKPASS="+c.askpass, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0")
	// Each to a pipe of its own: ssh(1) makes its standard error non-blocking,
	// and sftp(1) loses what it prints to the same pipe while that is full.
	var output, complaints strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &complaints
	var err error
	c.in.Within(c.t, func() { err = cmd.Run() })
	if err != nil {
		c.t.Errorf("%s %q: %v\n%s%s\n%s", name, args, err, output.String(), complaints.String(), machine.Text(machine.Log.Lines("user="+c.person.Name+" ")))
	}
	return output.String() + complaints.String()
}

// home is a path as the server sees it.
func (c *scene) home(name string) string { return filepath.Join("/home", c.person.Name, name) }

// same looks that a file has what was sent, at either side.
func (c *scene) same(path string) {
	c.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(data, c.data) {
		c.t.Errorf("%s: %d bytes, %v; expected the %d that were sent", path, len(data), err, len(c.data))
	}
}

func (c *scene) there(path string, want bool) {
	c.t.Helper()
	if _, err := os.Lstat(path); (err == nil) != want {
		c.t.Errorf("%s: expected there %v, found %v", path, want, err)
	}
}

func (c *scene) ssh(options ...string) []string {
	return c.server.SSHOptions(c.person, append(options, "IdentityFile="+c.key, "NumberOfPasswordPrompts=1", hosts.OwnKeyExchange)...)
}

// sftpClients are each logged in by two ways.
var sftpClients = map[string]func(c *scene){
	"sftp": func(c *scene) {
		c.write("sent.part", string(c.data[:1<<20]), 0o644)
		commands := []string{
			"put sent one", "put sent.part two", "reput sent two", "get one got", "get two part", "put -r tree", "get -r tree back",
			"rename one three", "ln -s three link", "ln three hard", "ls -la", "df", "chmod 600 three", "mkdir dir", "rmdir dir", "rm two", "ls -l link",
		}
		c.write("commands", strings.Join(commands, "\n")+"\n", 0o644)
		args := append(c.ssh(), "-o", "BatchMode=no", "-b", "commands", c.person.Name+"@127.0.0.1")
		out := c.run("sftp", args...)
		c.same(c.home("three"))
		c.same(c.home("hard"))
		c.same(c.dir + "/got")
		c.same(c.dir + "/part")
		c.there(c.home("two"), false)
		c.there(c.dir+"/back/a/with a blank", true)
		if !strings.Contains(out, "Avail") || !strings.Contains(out, c.person.Name) {
			c.t.Errorf("df or a long listing with names is missing:\n%s", out)
		}
	},
	"scp": func(c *scene) {
		args := c.ssh()
		host := c.person.Name + "@127.0.0.1:"
		c.run("scp", append(args, "-r", "tree", "sent", host)...)
		c.same(c.home("sent"))
		c.there(c.home("tree/a/b/deep"), true)
		if c.t.Failed() {
			return
		}
		c.run("scp", append(args, "-p", host+"sent", "back")...)
		c.same(c.dir + "/back")
	},
	"lftp": func(c *scene) {
		program := "ssh -a -x " + strings.Join(quoteAll(c.ssh()), " ")
		c.run("lftp", "-c", "set sftp:auto-confirm yes; set sftp:connect-program '"+program+"'; set net:max-retries 1; open -u "+c.person.Name+",unused sftp://127.0.0.1; "+
			"put sent -o one; mirror -R --parallel=3 tree; get one -o got; mv one two; cls -l; mrm two; mirror tree back")
		c.same(c.dir + "/got")
		c.there(c.home("tree/a/b/deep"), true)
		c.there(c.dir+"/back/a/b/deep", true)
		c.there(c.home("two"), false)
	},
	"sshfs": func(c *scene) {
		mount := filepath.Join(c.dir, "mount")
		if err := os.Mkdir(mount, 0o755); err != nil {
			c.t.Fatal(err)
		}
		c.run("sshfs", append(c.ssh(), c.person.Name+"@127.0.0.1:", mount)...)
		defer c.run("fusermount3", "-u", mount)
		c.run("cp", "sent", "mount/one")
		c.run("mv", "mount/one", "mount/two")
		c.run("cp", "-r", "tree", "mount")
		c.run("df", "mount")
		c.run("ln", "mount/two", "mount/three")
		c.run("truncate", "-s", "+0", "mount/two")
		c.run("sync", "mount/two")
		c.same(c.home("two"))
		// By another program: what this one had open there, a child that a test beside
		// forks meanwhile would have too, and the mount be busy.
		c.run("cmp", "sent", "mount/three")
		c.there(c.home("tree/a/b/deep"), true)
		c.run("rm", "-r", "mount/tree")
		c.there(c.home("tree"), false)
	},
}

func quoteAll(args []string) []string {
	for i, arg := range args {
		args[i] = `"` + arg + `"`
	}
	return args
}

// Programs that use OpenSSH's client are asked by it: for password and code,
// or for the code after a key.
func TestSFTPClients(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-clients", remembered, "")
	for name, use := range sftpClients {
		for _, first := range []string{"password", "key"} {
			t.Run(name+" "+first, func(t *testing.T) {
				t.Parallel()
				c := newScene(t, s, "sfc")
				if first == "password" {
					authorize(t, c.person, "")
				}
				use(c)
				expectAudit(t, c.person, "verdict=accepted", "rule=totp:phone")
			})
		}
	}
}

// rclone has one field, and several connections.
func TestSFTPRclone(t *testing.T) {
	onSFTPPaths(t, "sftp-rclone", remembered, "", useRclone)
}

func useRclone(t *testing.T, s *hosts.SFTPD) {
	for _, first := range []string{"password", "key"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			c := newScene(t, s, "sfr")
			remote := fmt.Sprintf("[r]\ntype = sftp\nhost = 127.0.0.1\nport = %d\nuser = %s\n", s.Port, c.person.Name)
			code := c.person.Code(t, 0)
			if first == "key" {
				// A code that was given from the same address serves rclone too.
				v := &sshClient{person: c.person, server: s, codes: []string{code}}
				if !v.in(t, ssh.PublicKeys(c.signer), ssh.KeyboardInteractive(v.challenge)) {
					t.Fatal(v.told)
				}
				remote += "key_file = " + c.key + "\n"
			} else {
				remote += "pass = " + strings.TrimSpace(c.run("rclone", "obscure", c.person.Password+code)) + "\n"
			}
			conf := c.write("rclone.conf", remote, 0o600)
			rclone := func(args ...string) string {
				return c.run("rclone", append([]string{"--config", conf, "--bind", c.person.Address, "--retries", "1", "--transfers", "8"}, args...)...)
			}
			for n := range 30 {
				c.write("many/"+strconv.Itoa(n), strconv.Itoa(n), 0o644)
			}
			rclone("copy", "many", "r:many")
			rclone("copyto", "sent", "r:one")
			rclone("moveto", "r:one", "r:two")
			rclone("copyto", "r:two", "back")
			rclone("check", "--download", "many", "r:many")
			if out := rclone("about", "r:"); !strings.Contains(out, "Free") {
				t.Errorf("about: %s", out)
			}
			rclone("delete", "r:many")
			c.same(c.home("two"))
			c.same(c.dir + "/back")
			c.there(c.home("many/3"), false)
		})
	}
}

// paramiko has a method at a time; psftp asks on its terminal; curl has one
// field.
func TestSFTPOtherLibraries(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-libraries", "", "")
	known := startSFTPD(t, "sftp-libraries-known", remembered, "")
	for name, test := range map[string]func(t *testing.T){
		"paramiko": func(t *testing.T) { useParamiko(t, s, known) },
		"psftp":    func(t *testing.T) { usePSFTP(t, s) },
		"curl":     func(t *testing.T) { useCurl(t, s) },
		"lftp":     func(t *testing.T) { useLFTP(t, s) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func useParamiko(t *testing.T, s, known *hosts.SFTPD) {
	for _, first := range []string{"password", "questions", "key"} {
		s := s
		if first == "key" {
			s = known
		}
		c := newScene(t, s, "sfl")
		c.write("client.py", paramikoConnects+paramiko, 0o644)
		if first == "key" {
			// It asks for the service again before its second method, which
			// x/crypto/ssh takes for an error: a code must be remembered.
			v := &sshClient{person: c.person, server: s, codes: []string{c.person.Code(t, 0)}}
			if !v.in(t, ssh.PublicKeys(c.signer), ssh.KeyboardInteractive(v.challenge)) {
				t.Fatal(v.told)
			}
		}
		c.run("/usr/bin/python3", "client.py", c.person.Address, strconv.Itoa(s.Port), c.person.Name, c.person.Password, c.key, c.person.Code(t, 0), first)
		c.same(c.home("two"))
		c.same(c.dir + "/back")
	}
}

func usePSFTP(t *testing.T, s *hosts.SFTPD) {
	for _, first := range []string{"password", "key"} {
		c := newScene(t, s, "sfl")
		c.write("commands", "put sent one\nmv one two\nget two back\nls\nput -r tree\n!echo "+c.person.Name+" is in\n", 0o644)
		args := []string{"-P", strconv.Itoa(s.Port), "-hostkey", hosts.HostFingerprint(t), "-b", "commands"}
		given := answers(c.person, c.person.Code(t, 0))
		if first == "key" {
			c.run("puttygen", c.key, "-o", c.dir+"/key.ppk")
			args = append(args, "-i", c.dir+"/key.ppk")
			given.Passwords = nil
		}
		cmd := exec.Command("psftp", append(args, c.person.Name+"@127.0.0.1")...)
		cmd.Dir = c.dir
		cmd.Env = append(os.Environ(), "HOME="+c.dir)
		d := machine.Open(t, cmd).Answer(given, machine.Patience)
		if d.Status != 0 || d.Codes != 1 {
			t.Errorf("status %d after %d codes:\n%s", d.Status, d.Codes, d.Transcript)
		}
		c.same(c.home("two"))
		c.same(c.dir + "/back")
		c.there(c.home("tree/a/b/deep"), true)
	}
}

// curl knows the method password alone.
func useCurl(t *testing.T, s *hosts.SFTPD) {
	c := newScene(t, s, "sfl")
	other := machine.Person{Name: c.person.Name, Secret: c.person.Secret, Period: c.person.Period}
	url := "sftp://" + s.Address() + "/~/two"
	curl := func(code string, args ...string) {
		c.run("curl", append([]string{"--silent", "--show-error", "--insecure", "--interface", c.person.Address, "--user", c.person.Name + ":" + c.person.Password + code}, args...)...)
	}
	curl(other.Code(t, 0), "-T", "sent", url)
	curl(other.Code(t, 1), "-o", "back", url)
	c.same(c.home("two"))
	c.same(c.dir + "/back")
}

// lftp lets ssh ask, and gives its password to every question.
func useLFTP(t *testing.T, s *hosts.SFTPD) {
	c := newScene(t, s, "sfl")
	program := "ssh -a -x " + strings.Join(quoteAll(s.SSHOptions(c.person, "PubkeyAuthentication=no", "NumberOfPasswordPrompts=1")), " ")
	c.run("lftp", "-c", "set sftp:auto-confirm yes; set sftp:connect-program '"+program+"'; set net:max-retries 1; open -u "+
		c.person.Name+","+c.person.Password+c.person.Code(t, 0)+" sftp://127.0.0.1; put sent -o one; mv one two; get two -o back")
	c.same(c.home("two"))
	c.same(c.dir + "/back")
}

// paramikoConnects is what programs of that library begin with. The library's own
// times, of half a minute and less, are too short for a busy machine.
var paramikoConnects = `
import socket, sys
import paramiko
def connected(address, port):
    t = paramiko.Transport(socket.create_connection(("127.0.0.1", int(port)), source_address=(address, 0)))
    t.banner_timeout = t.handshake_timeout = t.auth_timeout = t.clear_to_send_timeout = ` + machine.Seconds(machine.Patience) + `
    t.start_client()
    return t
`

// paramiko is a program of that library.
const paramiko = `
address, port, user, password, key, code, first = sys.argv[1:]
t = connected(address, port)
if first == "key":
    left = t.auth_publickey(user, paramiko.Ed25519Key(filename=key))
elif first == "password":
    left = t.auth_password(user, password + code, fallback=False)
else:
    left = t.auth_interactive(user, lambda title, text, fields: [password if "assword" in f[0] else code for f in fields])
assert left == [], left
s = paramiko.SFTPClient.from_transport(t)
s.put("sent", "one")
s.rename("one", "two")
s.posix_rename("two", "two")
s.get("two", "back")
s.mkdir("dir"); s.rmdir("dir")
s.symlink("two", "link")
assert s.readlink("link") == "two"
assert "two" in s.listdir()
with s.open("appended", "a") as f: f.write("1")
with s.open("appended", "a") as f: f.write("2")
assert s.open("appended").read() == b"12"
t.close()
`
