package sftp_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// old is a time that is shown with its year, and recent one without.
var (
	old    = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	recent = time.Now().Add(-40 * 24 * time.Hour).Truncate(time.Second)
)

// plant makes the tree that both servers are given, in turn.
func plant(t *testing.T, root string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(root), os.RemoveAll(other)); err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(root, name) }
	dir := func(name string, mode os.FileMode, uid, gid int) {
		must(os.Mkdir(in(name), 0o700))
		must(os.Chown(in(name), uid, gid))
		must(os.Chmod(in(name), mode))
	}
	file := func(name, text string, mode os.FileMode, uid, gid int) {
		must(os.WriteFile(in(name), []byte(text), 0o600))
		must(os.Chown(in(name), uid, gid))
		must(os.Chmod(in(name), mode))
		must(os.Chtimes(in(name), old, recent))
	}
	const me, games = 65534, 60
	dir(".", 0o755, me, me)
	dir("dir", 0o755, me, me)
	dir("full", 0o755, me, me)
	dir("closed", 0o700, 0, 0)
	dir("foreign", 0o755, 0, 0)
	dir("inherit", os.ModeSetgid|0o775, me, games)
	dir("sticky", os.ModeSticky|0o777, 0, 0)
	file("file", "0123456789", 0o644, me, me)
	file("second", "second", 0o600, me, me)
	file("full/one", "1", 0o640, me, games)
	file("secret", "root's", 0o600, 0, 0)
	file("theirs", "root's, for all to read", 0o644, 0, 0)
	file("closed/x", "x", 0o644, me, me)
	file("sticky/theirs", "x", 0o666, 0, 0)
	file("suid", "x", os.ModeSetuid|os.ModeSetgid|0o755, me, me)
	file("odd\xff\xfename", "x", 0o604, me, me)
	file("new\nline and space", "x", 0o000, me, me)
	future := recent.Add(50 * 24 * time.Hour)
	must(os.Chtimes(in("theirs"), future, future))
	for name, target := range map[string]string{
		"link": "file", "dirlink": "dir", "dangling": "nowhere", "loop": "loop", "abs": in("full"), "up": "..",
	} {
		must(os.Symlink(target, in(name)))
		must(os.Lchown(in(name), me, me))
		must(unix.Lutimes(in(name), both(old)))
	}
	must(syscall.Mkfifo(in("fifo"), 0o644))
	must(os.Chown(in("fifo"), me, me))
	must(os.Chtimes(in("fifo"), old, old))
	must(os.Truncate(in("second"), 5<<30))
	must(os.Chtimes(in("second"), old, old))
}

// both is a time of access and of modification.
func both(at time.Time) []unix.Timeval {
	one := unix.NsecToTimeval(at.UnixNano())
	return []unix.Timeval{one, one}
}

// snapshot says what a tree holds. Times of today are not told apart.
func snapshot(t *testing.T, root string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		line := fmt.Sprintf("%q mode %o uid %d gid %d links %d mtime %d", strings.TrimPrefix(path, root), st.Mode, st.Uid, st.Gid, st.Nlink, day(st.Mtim.Sec))
		switch entry.Type() {
		case 0:
			line += fmt.Sprintf(" size %d", st.Size)
			if st.Size < 1<<20 {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				line += fmt.Sprintf(" %x", sha256.Sum256(text))
			}
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + target
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// day makes the times near now equal.
func day(seconds int64) int64 {
	if age := time.Now().Unix() - seconds; age > -3600 && age < 3600 {
		return -1
	}
	return seconds
}

// other is where renames try to leave the file system.
var other = fmt.Sprintf("/dev/shm/otpgate-sftp-other-%d", os.Getpid())

// unlike are the answers that are not OpenSSH's on purpose: by the case's name
// and the number of the request, ours.
var unlike = map[string]string{
	// OpenSSH tells "no such user" with this code, ours has one text for it.
	"expand-path 57": "status 2 No such file",
	"expand-path 58": "status 2 No such file",
	// OpenSSH's hides that nothing was written.
	"copy-data 8": "status 2 No such file",
	// OpenSSH's 9.2 looks up its own user whatever the request says; see mended.
	"home directory 0": "names\n  \"/nonexistent\" \"/nonexistent\" none",
	"home directory 1": "names\n  \"/root\" \"/root\" none",
	"home directory 3": "status 2 No such file",
	// Nothing can be written through a descriptor that was opened to be read;
	// the engine does not know why it was.
	"read only 9":  "status 2 No such file",
	"read only 20": "status 0 Success",
	"read only 21": "status 4 Failure",
}

// mended are those of unlike that OpenSSH 10 does as ours.
var mended = map[string]bool{"home directory 0": true, "home directory 1": true}

var opensshVersion = regexp.MustCompile(`^OpenSSH_(\d+)\.`)

// opensshRelease is the installed OpenSSH's first number.
func opensshRelease(t *testing.T) int {
	t.Helper()
	said, err := exec.Command("ssh", "-V").CombinedOutput()
	if err != nil {
		t.Fatalf("ssh -V: %v: %s", err, said)
	}
	match := opensshVersion.FindSubmatch(said)
	if match == nil {
		t.Fatalf("expected a version of OpenSSH, found %q", said)
	}
	release, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// servers are those that are compared with OpenSSH's: ours as it is, and where
// something is denied that no request names, as it resolves paths otherwise.
var servers = []struct {
	name   string
	denied string
}{
	{"plain", ""},
	{"denying", "denied"},
}

// TestLikeOpenSSH sends the same packets to OpenSSH's server and to ours, each
// on a tree of its own, and expects the same answers and the same tree.
func TestLikeOpenSSH(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("needs root, to be nobody")
	}
	release := opensshRelease(t)
	for _, test := range comparisons {
		t.Run(test.name, func(t *testing.T) {
			dir := tempDir(t)
			root := filepath.Join(dir, "root")
			t.Cleanup(func() { os.RemoveAll(other) })
			wantAnswers, wantTree := test.run(t, root, false, "")
			for _, server := range servers {
				if test.plain && server.denied != "" {
					continue
				}
				t.Run(server.name, func(t *testing.T) {
					answers, tree := test.run(t, root, true, server.denied)
					for i, want := range wantAnswers {
						name := fmt.Sprintf("%s %d", test.name, i)
						if ours, ok := unlike[name]; ok && !(mended[name] && release >= 10) {
							if ours == want {
								t.Errorf("request %d: OpenSSH answers like us", i)
							}
							want = ours
						}
						if answers[i] != want {
							t.Errorf("request %d: %v\nexpected %s\ngot      %s", i, test.requests(root)[i], want, answers[i])
						}
					}
					if tree != wantTree {
						t.Errorf("OpenSSH left\n%s\nwe left\n%s", wantTree, tree)
					}
				})
			}
		})
	}
}

// run sends the requests to a server on a new tree.
func (test comparison) run(t *testing.T, root string, ours bool, denied string) (answers []string, tree string) {
	t.Helper()
	plant(t, root)
	umask := test.umask
	if umask == "" {
		umask = "022"
	}
	p := start(t, command(ours, nobody, root, umask, test.readOnly, denied))
	for _, request := range test.requests(root) {
		kind, body := p.ask(request)
		answers = append(answers, describe(t, request, kind, body))
	}
	p.stop()
	return answers, snapshot(t, root)
}
