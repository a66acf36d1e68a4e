package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// grove is a tree that two servers are given in turn: a person's, somebody
// else's, a group that both are in, and one that only the other is in.
type grove struct {
	t             *testing.T
	person, other *machine.Person
	ours, theirs  string // groups
	root          string
	key           string
}

func newGrove(t *testing.T) *grove {
	t.Helper()
	g := &grove{t: t, person: machine.NewPerson(t, "gro"), other: machine.NewPerson(t, "gro")}
	g.key = writeKey(t, g.person)
	g.ours, g.theirs = "both"+g.person.Name, "only"+g.person.Name
	machine.NewGroup(t, g.ours)
	machine.NewGroup(t, g.theirs)
	machine.JoinGroup(t, g.person.Name, g.ours)
	machine.JoinGroup(t, g.other.Name, g.ours)
	machine.JoinGroup(t, g.other.Name, g.theirs)
	g.root = "/home/" + g.person.Name + "/tree"
	return g
}

func (g *grove) shell(script string) string {
	g.t.Helper()
	cmd := exec.Command("sh", "-euc", script)
	cmd.Env = append(os.Environ(), "ME="+g.person.Name, "THEM="+g.other.Name, "OURS="+g.ours, "THEIRS="+g.theirs)
	output, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("%s: %v: %s", script, err, output)
	}
	return string(output)
}

// plant makes the tree anew.
func (g *grove) plant() {
	g.t.Helper()
	g.shell("rm -rf " + g.root + "; mkdir " + g.root + "; cd " + g.root + `; umask 022
		dir() { mkdir "$1"; chown "$2" "$1"; chmod "$3" "$1"; }
		file() { echo content >"$1"; chown "$2" "$1"; chmod "$3" "$1"; }
		chown "$ME:$ME" .
		dir plain "$ME:$ME" 755
		dir setgid "root:$OURS" 2775
		dir mine "$ME:$OURS" 2770
		dir foreign "root:$THEIRS" 2777
		dir sticky root:root 1777
		dir locked "$ME:$ME" 555
		dir grouped "$THEM:$OURS" 770
		dir closed "$THEM:$THEIRS" 770
		dir acl "$ME:$ME" 755; setfacl -d -m "u:$THEM:rwx,g::r-x,o::---" acl
		dir aclgid "root:$OURS" 2775; setfacl -d -m "g:$THEIRS:rw-,m::rw-" aclgid
		dir aclopen "$THEM:$THEM" 700; setfacl -m "u:$ME:rwx" aclopen
		dir aclshut "$THEM:$THEM" 777; setfacl -m "u:$ME:r-x" aclshut
		file own "$ME:$ME" 644
		file exec "$ME:$ME" 755
		file suid "$ME:$ME" 6755
		file setgid/suid "$THEM:$OURS" 6775
		file readonly "$ME:$ME" 444
		file nothing "$ME:$ME" 000
		file ours "$THEM:$OURS" 664
		file oursro "$THEM:$OURS" 640
		file mineirs "$ME:$THEIRS" 640
		file theirs "$THEM:$THEIRS" 666
		file secret "$THEM:$THEM" 600
		file locked/file "$ME:$ME" 644
		file sticky/theirs "$THEM:$THEM" 666
		file sticky/mine "$ME:$ME" 644
		file grouped/file "$THEM:$OURS" 640
		file aclread "$THEM:$THEM" 600; setfacl -m "u:$ME:r" aclread
		file aclwrite "$THEM:$THEM" 600; setfacl -m "u:$ME:rw" aclwrite
		file aclnone "$THEM:$THEM" 666; setfacl -m "u:$ME:-" aclnone
		file aclmask "$ME:$ME" 640; setfacl -m "g:$OURS:rwx" aclmask
		ln -s secret link; chown -h "$ME:$ME" link`)
}

// look is owner, group, mode, size and access control lists of all that the
// tree holds.
func (g *grove) look() string {
	g.t.Helper()
	return g.shell("cd " + g.root + `; find . -printf '%p %y %u:%g %m %s\n' | sed '/ d /s/ [0-9]*$//' | LC_ALL=C sort; getfacl -Rps . | grep -v '^$'`)
}

// sftpCommands are for OpenSSH's client, whose files have the modes 644, 600,
// 755 and 6755 by their names.
func sftpCommands(g *grove) (commands []string) {
	add := func(format string, args ...any) { commands = append(commands, "-"+fmt.Sprintf(format, args...)) }
	for _, dir := range []string{".", "plain", "setgid", "mine", "foreign", "sticky", "locked", "grouped", "closed", "acl", "aclgid", "aclopen", "aclshut"} {
		for _, file := range []string{"f644", "f600", "f755", "f6755"} {
			add("put %s %s/%s", file, dir, file)
			add("put -p %s %s/%s-kept", file, dir, file)
		}
		add("mkdir %s/new", dir)
		add("put f644 %s/new/inner", dir)
		add("symlink f644 %s/symlink", dir)
		add("ln own %s/hard", dir)
		add("rename %s/f600 %s/renamed", dir, dir)
		add("rename plain/f755 %s/f755-over", dir)
		add("chmod 2770 %s/new", dir)
		add("rm %s/f644", dir)
		add("ls %s", dir)
	}
	for _, file := range []string{"own", "exec", "suid", "setgid/suid", "readonly", "nothing", "ours", "oursro", "mineirs", "theirs", "secret", "locked/file",
		"sticky/theirs", "sticky/mine", "grouped/file", "aclread", "aclwrite", "aclnone", "aclmask", "link", "missing"} {
		add("get %s got", file)
		add("reput f6755 %s", file)
		add("put f644 %s", file)
		for _, mode := range []string{"4755", "2755", "1644", "6777", "0604"} {
			add("chmod %s %s", mode, file)
		}
		for _, group := range []string{g.ours, g.theirs, g.person.Name} {
			add("chgrp %s %s", g.gid(group), file)
			add("chgrp -h %s %s", g.gid(group), file)
		}
		add("chown %d %s", g.other.UID, file)
		add("chown %d %s", g.person.UID, file)
	}
	for _, name := range []string{"sticky/theirs", "sticky/mine", "locked/file", "readonly", "secret", "aclread", "aclopen/new/inner", "closed/f600", "theirs"} {
		add("rename %s %s-moved", name, name)
		add("rm %s", name)
		add("rm %s-moved", name)
	}
	for _, dir := range []string{"plain", "sticky/new", "setgid/new", "aclgid/new", "closed", "aclopen/new", "missing"} {
		add("rmdir %s", dir)
	}
	return commands
}

func (g *grove) gid(group string) string {
	g.t.Helper()
	found, err := user.LookupGroup(group)
	must(g.t, err)
	return found.Gid
}

// by runs the commands in OpenSSH's sftp at a port.
func (g *grove) by(port int, commands []string) string {
	c := g.client(port)
	for name, mode := range map[string]os.FileMode{"f644": 0o644, "f600": 0o600, "f755": 0o755, "f6755": 0o755 | os.ModeSetuid | os.ModeSetgid} {
		must(g.t, os.Chmod(c.write(name, strings.Repeat("x", 20), 0o600), mode))
	}
	c.write("commands", strings.Join(append([]string{"cd tree"}, commands...), "\n")+"\n", 0o644)
	args := append(hosts.SSHOptions(port, g.person, "IdentityFile="+g.key, "BatchMode=yes"), "-b", "commands", g.person.Name+"@127.0.0.1")
	return c.run("sftp", args...)
}

func (g *grove) client(port int) *scene {
	return &scene{t: g.t, person: g.person, key: g.key, dir: g.t.TempDir()}
}

// byParamiko runs what OpenSSH's client never sends: modes of new directories,
// lengths, times, and several at once.
func (g *grove) byParamiko(port int) string {
	c := g.client(port)
	c.write("client.py", paramikoConnects+paramikoRights, 0o644)
	return c.run("/usr/bin/python3", "client.py", g.person.Address, strconv.Itoa(port), g.person.Name, g.key, g.gid(g.ours), g.gid(g.theirs), strconv.Itoa(g.other.UID))
}

const paramikoRights = `
from paramiko.sftp_attr import SFTPAttributes
address, port, user, key, ours, theirs, other = sys.argv[1:]
ours, theirs, other = int(ours), int(theirs), int(other)
t = connected(address, port)
left = t.auth_publickey(user, paramiko.Ed25519Key(filename=key))
assert left == [], left
s = paramiko.SFTPClient.from_transport(t)
s.chdir("tree")
me = s.stat("own").st_uid
def attempt(text, *args):
    try:
        result = eval(text)(*args)
    except IOError as e:
        result = type(e).__name__ + " " + str(e.errno)
    print(text, args, result)
def opened(path, flags, mode):
    a = SFTPAttributes()
    if mode is not None:
        a.st_mode = mode
    kind, msg = s._request(paramiko.sftp.CMD_OPEN, "tree/" + path, flags, a)
    s._request(paramiko.sftp.CMD_CLOSE, msg.get_binary())
def changed(path, mode, size):
    a = SFTPAttributes()
    a.st_mode, a.st_size, a.st_atime, a.st_mtime = mode, size, 5, 6
    s._request(paramiko.sftp.CMD_SETSTAT, "tree/" + path, a)
def looked(path):
    kind, msg = s._request(paramiko.sftp.CMD_OPEN, "tree/" + path, READ, SFTPAttributes())
    with paramiko.SFTPFile(s, msg.get_binary(), "r", 0) as f:
        f.read(4)
READ, WRITE, APPEND, CREATE, TRUNC, EXCL = 1, 2, 4, 8, 16, 32
dirs = ["plain", "setgid", "mine", "foreign", "sticky", "locked", "acl", "aclgid", "aclopen", "aclshut", "closed"]
files = ["own", "exec", "suid", "setgid/suid", "readonly", "nothing", "ours", "oursro", "mineirs", "theirs", "secret", "locked/file", "aclread", "aclwrite", "aclnone", "aclmask", "link"]
for d in dirs:
    attempt("looked", d)
    attempt("opened", d, WRITE, None)
    attempt("opened", d, READ | WRITE | CREATE, None)
    attempt("opened", d, WRITE | CREATE | EXCL, None)
    for mode in (0o777, 0o2770, 0o1777, 0o7777, 0o500, 0):
        attempt("s.mkdir", "%s/d%o" % (d, mode), mode)
    for mode in (None, 0o777, 0o6777, 0o666, 0o4444, 0):
        attempt("opened", "%s/o%s" % (d, mode), WRITE | CREATE | EXCL, mode)
        attempt("opened", "%s/o%s" % (d, mode), WRITE | CREATE | TRUNC, 0o600)
for f in files:
    attempt("opened", f, READ, None)
    attempt("opened", f, WRITE, None)
    attempt("opened", f, READ | WRITE | APPEND, None)
    attempt("opened", f, WRITE | CREATE | EXCL, 0o666)
    attempt("s.utime", f, (1000000000, 1000000001))
    attempt("s.truncate", f, 3)
    attempt("changed", f, 0o640, 2)
    attempt("s.chmod", f, 0o7777)
    attempt("s.chown", f, me, ours)
    attempt("s.chown", f, me, theirs)
    attempt("s.chown", f, other, ours)
    attempt("s.truncate", f, 0)
`

// hideAddresses takes out what differs between two runs of one client.
var hideAddresses = regexp.MustCompile(`port \d+|127\.0\.0\.1:\d+`)

// expectSame compares what two servers said, or left, line by line.
func expectSame(t *testing.T, what, sshd, ours string) {
	t.Helper()
	a, b := strings.Split(hideAddresses.ReplaceAllString(sshd, ""), "\n"), strings.Split(hideAddresses.ReplaceAllString(ours, ""), "\n")
	differ := 0
	for i := range max(len(a), len(b)) {
		var left, right string
		if i < len(a) {
			left = a[i]
		}
		if i < len(b) {
			right = b[i]
		}
		if left != right {
			if differ++; differ < 20 {
				t.Errorf("%s, line %d:\nsshd %s\nours %s", what, i, left, right)
			}
		}
	}
	if differ == 0 && len(a) < 100 {
		t.Errorf("%s: %d lines were compared, expected hundreds:\n%s", what, len(a), ours)
	}
	t.Logf("%s: %d lines are the same", what, len(a)-differ)
}

// What a person may do, and what it makes, is the same as through sshd: the
// same commands of real clients on the same tree succeed and fail alike, and
// leave the same owners, groups, modes and access control lists. One thing is
// not the same and not in the table: sshd opens a directory as a file and
// refuses to read it, and here that is refused at once with the same code.
func TestSFTPRightsLikeSSHD(t *testing.T) {
	t.Parallel()
	for name, umask := range map[string]struct{ pam, sshd, table, made string }{
		"as it is":     {made: "755"},
		"of pam":       {pam: "session optional pam_umask.so umask=0027 nousergroups\n", made: "750"},
		"of pam, open": {pam: "session optional pam_umask.so umask=0002 nousergroups\n", made: "775"},
		"open":         {sshd: " -u 000", table: "umask = \"0\"\n", made: "777"},
		"closed":       {sshd: " -u 077", table: "umask = \"077\"\n", pam: "session optional pam_umask.so umask=0002 nousergroups\n", made: "700"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := "sftp-like-" + strings.NewReplacer(" ", "", ",", "").Replace(name)
			// Not common-session, where Debian 13 has pam_umask, of its own opinion.
			stack := "@include common-auth\n@include common-account\nsession required pam_unix.so\n" + umask.pam
			ours := startSFTPD(t, site, noCodes, patient+umask.table)
			machine.WriteService(t, ours.Service(), stack)
			machine.WriteService(t, site, stack)
			sshd := hosts.StartSSHD(t, site, "Subsystem sftp internal-sftp"+umask.sshd)
			g := newGrove(t)
			commands := sftpCommands(g)
			for client, run := range map[string]func(port int) string{
				"sftp":     func(port int) string { return g.by(port, commands) },
				"paramiko": g.byParamiko,
			} {
				g.plant()
				said := run(sshd.Port)
				left := g.look()
				g.plant()
				saidOurs := run(ours.Port)
				expectSame(t, client+" was told", said, saidOurs)
				expectSame(t, client+" left", left, g.look())
				if want := "./plain/d777 d " + g.person.Name + ":" + g.person.Name + " " + umask.made + "\n"; client == "paramiko" && !strings.Contains(left, want) {
					t.Errorf("expected %q of sshd's umask, found\n%s", want, left)
				}
			}
		})
	}
}
