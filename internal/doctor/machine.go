package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/nss"
)

// Machine is what is examined. The zero value is the machine itself; the fields
// are for trees that are none.
type Machine struct {
	// Root goes before every path. With it, users and groups are those of its
	// /etc/passwd and /etc/group.
	Root string
	Now  func() time.Time
	// SSHD returns what sshd -T says, with -C spec if spec is not "".
	SSHD func(ctx context.Context, spec string) (string, error)
	// Module says whether libpam would find a module of that name in pam.d.
	Module func(name string) (path string, found bool)
	// Load says why a module's file cannot be loaded, as dlopen does.
	Load func(ctx context.Context, path string) error
	// UserKnown and GroupKnown ask the system's name services.
	UserKnown, GroupKnown func(name string) (bool, error)
	// Others lists the other names of the uid that a name has, as far as a login
	// by that name finds them, the first one first.
	Others func(name string) ([]string, error)
	// Synchronised says whether a time service keeps the clock right.
	Synchronised func() bool
	// Space tries whether a small file can be written in a directory, and says
	// how many bytes and files are free.
	Space func(dir string) Space
	// Log says why nobody takes lines at /dev/log, if so.
	Log func() error
	// Verifier looks at who listens at a socket.
	Verifier func(socket string) Listener
	// Sending says why no code can be sent as the configuration has it. Without
	// it that is not looked at: what speaks to the network is not linked here.
	Sending func(config.Config) error
}

func (m *Machine) fill() {
	if m.Now == nil {
		m.Now = time.Now
	}
	if m.SSHD == nil {
		m.SSHD = m.realSSHD
	}
	if m.Module == nil {
		m.Module = m.findModule
	}
	if m.Load == nil {
		m.Load = load
		if m.Root != "" { // what is below it may be another system's
			m.Load = func(context.Context, string) error { return nil }
		}
	}
	if m.UserKnown == nil {
		m.UserKnown, m.GroupKnown = knownUser, knownGroup
		if m.Root != "" {
			m.UserKnown = func(name string) (bool, error) { return m.listed("/etc/passwd", name) }
			m.GroupKnown = func(name string) (bool, error) { return m.listed("/etc/group", name) }
		}
	}
	if m.Others == nil {
		m.Others = m.otherNames
	}
	if m.Synchronised == nil {
		m.Synchronised = synchronised
	}
	if m.Space == nil {
		m.Space = space
	}
	if m.Log == nil {
		m.Log = audit.Syslog{}.Check
		if m.Root != "" {
			m.Log = func() error { return nil }
		}
	}
	if m.Verifier == nil {
		m.Verifier = listener
	}
}

// sshdPath is where every distribution has it; sshd wants an absolute path.
const sshdPath = "/usr/sbin/sshd"

var errNoSSHD = errors.New("there is no " + sshdPath)

func (m *Machine) realSSHD(ctx context.Context, spec string) (string, error) {
	if _, err := os.Stat(sshdPath); err != nil {
		return "", errNoSSHD
	}
	args := []string{"-T"}
	if spec != "" {
		args = append(args, "-C", spec)
	}
	if m.Root != "" {
		args = append(args, "-f", m.Root+sshdConfig)
	}
	return runSSHD(ctx, args)
}

// runSSHD runs sshd where the directory is that it wants below /run. Only a
// service that is running has one, and nothing is to be changed, so it is in a
// mount namespace of the command's own.
func runSSHD(ctx context.Context, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, sshdPath, args...)
	if _, err := os.Stat("/run/sshd"); err != nil && os.Geteuid() == 0 {
		script := `mount -t tmpfs -o mode=755 none /run && mkdir -m 755 /run/sshd && exec "$@"`
		cmd = exec.CommandContext(ctx, "unshare", append([]string{"--mount", "sh", "-c", script, "sh", sshdPath}, args...)...)
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("sshd %s: %w: %s", strings.Join(args, " "), err, strings.Join(strings.Fields(complaint.String()), " "))
	}
	return string(out), nil
}

// moduleDirs are where the distributions' libpam looks.
var moduleDirs = []string{
	"/lib/*-linux-*/security", "/usr/lib/*-linux-*/security", "/lib64/security", "/usr/lib64/security",
	"/lib/security", "/usr/lib/security",
}

func (m *Machine) findModule(name string) (path string, found bool) {
	if strings.HasPrefix(name, "/") {
		info, err := os.Stat(m.Root + name)
		return name, err == nil && info.Mode().IsRegular()
	}
	for _, dir := range moduleDirs {
		matches, err := filepath.Glob(m.Root + dir + "/" + name)
		if err == nil && len(matches) > 0 {
			return strings.TrimPrefix(matches[0], m.Root), true
		}
	}
	return "", false
}

// glob are the machine's files of a pattern.
func (m *Machine) glob(pattern string) []string {
	paths, err := filepath.Glob(m.Root + pattern)
	if err != nil {
		return nil
	}
	for i := range paths {
		paths[i] = strings.TrimPrefix(paths[i], m.Root)
	}
	return paths
}

// has says whether the machine has a file.
func (m *Machine) has(path string) bool {
	_, err := os.Stat(m.Root + path)
	return err == nil
}

func knownUser(name string) (bool, error) {
	_, found, err := nss.UserByName(name)
	return found, err
}

func knownGroup(name string) (bool, error) {
	_, found, err := nss.GroupByName(name)
	return found, err
}

// otherNames are those of the name services and /etc/passwd or, of a tree that is
// no machine, of that file alone.
func (m *Machine) otherNames(name string) ([]string, error) {
	known := name
	names, err := m.listedNames(name)
	if m.Root == "" {
		u, found, unknown := nss.UserByName(name)
		if unknown != nil || !found {
			return nil, unknown
		}
		known = u.Name
		names, err = nss.NamesOf(u.UID)
	}
	return slices.DeleteFunc(names, func(other string) bool { return other == known }), err
}

// listedNames are those of the uid that a name has in the tree.
func (m *Machine) listedNames(name string) ([]string, error) {
	local, err := nss.LocalNames(m.Root + nss.PasswdPath)
	for _, names := range local {
		if slices.Contains(names, name) {
			return names, err
		}
	}
	return nil, err
}

// listed looks a name up in a file of lines that begin with "name:".
func (m *Machine) listed(path, name string) (bool, error) {
	file, err := os.Open(m.Root + path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), name+":") {
			return true, nil
		}
	}
	return false, lines.Err()
}

func synchronised() bool {
	var query unix.Timex
	state, err := unix.Adjtimex(&query)
	return err == nil && state != unix.TIME_ERROR && query.Status&unix.STA_UNSYNC == 0
}
