package packages_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/testprogram"
)

// cache has a directory for each release, made by packaging/deps.
const cache = "/var/cache/otpgate-test/"

// bookworm is Debian 12, trixie 13. A package works on either, whichever it was
// built on.
const (
	bookworm = "bookworm"
	trixie   = "trixie"
)

// debian is a fresh Debian with sshd and the user alice.
type debian struct {
	root string
	port string // of its sshd
}

var alice = &machine.Person{Name: "alice", Password: "alice"}

// onEach runs a test on each release, with the port of its sshd.
func onEach(t *testing.T, ports [2]string, test func(t *testing.T, d debian)) {
	for i, release := range []string{bookworm, trixie} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			test(t, newDebian(t, release, ports[i]))
		})
	}
}

// newDebian makes one that shares what it does not change with the cache.
func newDebian(t *testing.T, release, port string) debian {
	t.Helper()
	top := inMemory(t, port)
	return start(t, debian{root: overlay(t, top, cached(t, release)), port: port})
}

// copyDebian makes one whose file system can be shared further: overlays can be
// laid on top of each other once, and the cache may be on one.
func copyDebian(t *testing.T, release, port string) debian {
	t.Helper()
	d := debian{root: inMemory(t, port) + "/debian", port: port}
	if output, err := exec.Command("cp", "-a", cached(t, release), d.root).CombinedOutput(); err != nil {
		t.Fatalf("copy the %s: %v: %s", release, err, output)
	}
	return start(t, d)
}

func cached(t *testing.T, release string) string {
	t.Helper()
	base := cache + release
	if _, err := os.Stat(base + "/etc/debian_version"); err != nil {
		t.Fatalf("expected a Debian in %s: %v; run packaging/deps test", base, err)
	}
	return base
}

// inMemory is a directory whose files are in memory until the test ends: the
// namespace ends later, with all tests.
func inMemory(t *testing.T, port string) string {
	t.Helper()
	top := machine.Root + "/debian-" + port
	if err := os.MkdirAll(top, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", top, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(top, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return top
}

// overlay is a directory below top with what is in lower, which it shares.
func overlay(t *testing.T, top, lower string) string {
	t.Helper()
	for _, dir := range []string{"/upper", "/work", "/debian"} {
		if err := os.Mkdir(top+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, top, top)
	if err := unix.Mount("overlay", top+"/debian", "overlay", 0, options); err != nil {
		t.Fatalf("mount an overlay: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(top+"/debian", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return top + "/debian"
}

// start makes it ready for logins.
func start(t *testing.T, d debian) debian {
	t.Helper()
	for _, dir := range []string{"/proc", "/dev"} {
		if err := unix.Mount(dir, d.root+dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			t.Fatalf("bind %s: %v", dir, err)
		}
	}
	t.Cleanup(func() {
		for _, dir := range []string{"/proc", "/dev"} {
			if err := unix.Unmount(d.root+dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	})
	if err := os.MkdirAll(d.root+"/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	d.run(t, "useradd", "-m", "-s", "/bin/bash", alice.Name)
	d.run(t, "sh", "-c", "echo alice:alice | chpasswd")
	return d
}

// command is what runs within.
func (d debian) command(args ...string) *exec.Cmd {
	cmd := exec.Command("chroot", append([]string{d.root}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive"}
	return cmd
}

// try runs a command and returns all that it said.
func (d debian) try(args ...string) (string, error) {
	output, err := d.command(args...).CombinedOutput()
	return string(output), err
}

func (d debian) run(t *testing.T, args ...string) string {
	t.Helper()
	output, err := d.try(args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, output)
	}
	return output
}

// bring copies a file of the machine to /root, and returns its place within.
func (d debian) bring(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	place := "/root/" + filepath.Base(path)
	if err := testprogram.Write(d.root+place, data); err != nil {
		t.Fatal(err)
	}
	return place
}

func (d debian) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(d.root+path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d debian) read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(d.root + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// enroll enrolls alice as a script would, and returns her secret. The code that
// oathtool shows now is used up by it.
func (d debian) enroll(t *testing.T) (secret string) {
	t.Helper()
	var enrolled struct {
		Secret string `json:"secret"`
	}
	// Its audit line is on standard error where there is no syslog.
	output, err := d.command("otpctl", "enroll", alice.Name, "--json").Output()
	if err != nil {
		t.Fatalf("otpctl enroll: %v", err)
	}
	if err := json.Unmarshal(output, &enrolled); err != nil || enrolled.Secret == "" {
		t.Fatalf("expected JSON with a secret, found %q, %v", output, err)
	}
	// So that no code is too old by the time that a slow step ends.
	d.write(t, "/etc/otpgate/otpgate.toml", "[totp]\nwindow = 10\n")
	d.run(t, "otpctl", "confirm", alice.Name, d.code(t, enrolled.Secret, 0))
	return enrolled.Secret
}

// code is what oathtool shows so many steps from now.
func (d debian) code(t *testing.T, secret string, steps int) string {
	t.Helper()
	return d.codes(t, secret, steps, 1)[0]
}

// codes are n codes in a row, the first of them so many steps from now. Asked for
// one by one they are in a row only if no step ends meanwhile.
func (d debian) codes(t *testing.T, secret string, steps, n int) []string {
	t.Helper()
	codes := strings.Fields(d.run(t, "oathtool", "--totp", "--base32", "--now", fmt.Sprintf("%d seconds", 30*steps), "--window", strconv.Itoa(n-1), secret))
	if len(codes) != n {
		t.Fatalf("oathtool: expected %d codes, found %q", n, codes)
	}
	return codes
}

// wrong is none of the codes of the half hour around: of those that the window
// takes a fixed one is right by chance.
func (d debian) wrong(t *testing.T, secret string) string {
	t.Helper()
	right := d.codes(t, secret, -30, 61)
	for n := 0; ; n++ {
		if code := fmt.Sprintf("%06d", n); !slices.Contains(right, code) {
			return code
		}
	}
}

// login logs alice in through the real sshd, started for that.
func (d debian) login(t *testing.T, codes ...string) machine.Dialogue {
	t.Helper()
	return d.loginWith(t, alice.Password, codes...)
}

func (d debian) loginWith(t *testing.T, password string, codes ...string) machine.Dialogue {
	t.Helper()
	server := d.command("/usr/sbin/sshd", "-D", "-e", "-p", d.port, "-o", "PidFile=none")
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said strings.Builder
	server.Stderr = &said
	if err := server.Start(); err != nil {
		t.Fatalf("start sshd: %v", err)
	}
	machine.Until(t, "sshd listens", func() bool {
		connection, err := net.Dial("tcp", "127.0.0.1:"+d.port)
		return err == nil && connection.Close() == nil
	})
	client := d.command("ssh", "-F", "none", "-p", d.port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "PreferredAuthentications=keyboard-interactive,password", "-o", "NumberOfPasswordPrompts=1", alice.Name+"@127.0.0.1", machine.Greet)
	dialogue := machine.Open(t, client).Answer(machine.Answers{Passwords: []string{password}, Codes: codes}, machine.Patience)
	_ = syscall.Kill(-server.Process.Pid, syscall.SIGKILL)
	_ = server.Wait()
	t.Logf("login with %d codes:\n%s%s", len(codes), dialogue.Transcript, said.String())
	return dialogue
}

// expectIn says that alice gets in, and is asked for so many codes.
func (d debian) expectIn(t *testing.T, codes ...string) {
	t.Helper()
	if got := d.login(t, codes...); !got.In(alice) || got.Codes != len(codes) {
		t.Errorf("expected alice to be in after %d codes, found %+v", len(codes), got)
	}
}

// expectOut says that alice does not get in, and is asked for a code.
func (d debian) expectOut(t *testing.T, code string) {
	t.Helper()
	if got := d.login(t, code, code, code); got.In(alice) || got.Codes == 0 {
		t.Errorf("expected alice to be asked for a code and refused, found %+v", got)
	}
}

// files is what is below a directory: modes, owners and contents, by path.
func (d debian) files(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, dir := range dirs {
		err := filepath.WalkDir(d.root+dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			raw := info.Sys().(*syscall.Stat_t)
			line := fmt.Sprintf("%v %d:%d", info.Mode(), raw.Uid, raw.Gid)
			if info.Mode().IsRegular() {
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				line += fmt.Sprintf(" %x", sha256.Sum256(data))
			}
			seen[strings.TrimPrefix(path, d.root)] = line
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return seen
}

// logins are the directories that decide about logins.
var logins = []string{"/etc/pam.d", "/etc/ssh", "/etc/security", "/etc/systemd", "/etc/init.d"}

// ownService is the stack of the package's own SFTP server, which no other login
// goes through. dpkg keeps it until a purge, as every file in /etc.
const ownService = "/etc/pam.d/otpgate-sftpd"

// changed names what differs, but for what is excused.
func changed(before, after map[string]string, excused ...string) []string {
	differ := map[string]bool{}
	for path, was := range before {
		differ[path] = after[path] != was
	}
	for path, now := range after {
		differ[path] = before[path] != now
	}
	for _, path := range excused {
		delete(differ, path)
	}
	var names []string
	for path, differs := range differ {
		if differs {
			names = append(names, path)
		}
	}
	return names
}
