package sftp_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/internal/sftp"
	"github.com/otpgate/otpgate/internal/sftp/deny"
	"github.com/otpgate/otpgate/internal/sftp/local"
)

// serverEnv makes the test binary a server on its standard input and output.
// Its fields are a uid, a gid, further groups, a umask, "ro" or "rw", and a
// pattern to deny.
const serverEnv = "OTPGATE_TEST_SFTP_SERVER"

// openssh is the server to compare with; of Debian's openssh-sftp-server.
const openssh = "/usr/lib/openssh/sftp-server"

func TestMain(m *testing.M) {
	if fields := os.Getenv(serverEnv); fields != "" {
		if err := serve(strings.Split(fields, ":")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type stdio struct {
	io.Reader
	io.Writer
}

// serve is what a worker and a front do together, in one process.
func serve(fields []string) error {
	files, err := newLocal(fields[4] == "ro", fields[5])
	if err != nil {
		return err
	}
	umask, err := strconv.ParseInt(fields[3], 8, 0)
	if err != nil {
		return err
	}
	syscall.Umask(int(umask))
	if err := become(fields[0], fields[1], fields[2]); err != nil {
		return err
	}
	return sftp.Serve(context.Background(), stdio{os.Stdin, os.Stdout}, files, sftp.Options{})
}

func become(uidText, gidText, groupText string) error {
	uid, err := strconv.Atoi(uidText)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(gidText)
	if err != nil {
		return err
	}
	if uid == os.Getuid() {
		return nil
	}
	var groups []int
	for _, text := range strings.Fields(groupText) {
		group, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		groups = append(groups, group)
	}
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setgid(gid); err != nil {
		return err
	}
	return syscall.Setuid(uid)
}

func newLocal(readOnly bool, patterns ...string) (*local.Files, error) {
	var denied []string
	for _, pattern := range patterns {
		if pattern != "" {
			denied = append(denied, pattern)
		}
	}
	deny, err := deny.Parse(denied)
	if err != nil {
		return nil, err
	}
	return local.New(local.Options{
		ReadOnly: readOnly, Deny: deny,
		HomeOf: homeOf,
		User: func(id uint32) string {
			found, err := user.LookupId(strconv.Itoa(int(id)))
			if err != nil {
				return ""
			}
			return found.Username
		},
		Group: func(id uint32) string {
			found, err := user.LookupGroupId(strconv.Itoa(int(id)))
			if err != nil {
				return ""
			}
			return found.Name
		},
	})
}

func homeOf(name string) (string, error) {
	found, err := user.Current()
	if name != "" {
		found, err = user.Lookup(name)
	}
	if err != nil {
		return "", syscall.ENOENT
	}
	return found.HomeDir, nil
}

// account is who a server runs as.
type account struct {
	uid, gid uint32
	groups   []uint32
}

var (
	self   = account{uid: uint32(os.Getuid()), gid: uint32(os.Getgid())}
	nobody = account{uid: 65534, gid: 65534, groups: []uint32{65534, 60}}
)

// command is our server or OpenSSH's, in a directory. Ours may deny a pattern.
func command(ours bool, who account, dir, umask string, readOnly bool, denied ...string) *exec.Cmd {
	if ours {
		access := "rw"
		if readOnly {
			access = "ro"
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d:%d:%s:%s:%s:%s", serverEnv,
			who.uid, who.gid, strings.Trim(fmt.Sprint(who.groups), "[]"), umask, access, strings.Join(denied, "")))
		cmd.Dir = dir
		return cmd
	}
	cmd := exec.Command(openssh, "-e", "-u", umask)
	if readOnly {
		cmd.Args = append(cmd.Args, "-R")
	}
	cmd.Dir = dir
	if who.uid != self.uid {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: who.uid, Gid: who.gid, Groups: who.groups}}
	}
	return cmd
}

// tempDir is a directory that everybody may search, as long as the test runs.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "otpgate-sftp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
