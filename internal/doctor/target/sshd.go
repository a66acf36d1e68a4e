package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// SSHDConfig is the file that sshd reads first.
const SSHDConfig = "/etc/ssh/sshd_config"

// sshdPath is where every distribution has it; sshd wants an absolute path.
const sshdPath = "/usr/sbin/sshd"

// ErrNoSSHD says that there is nothing to ask.
var ErrNoSSHD = errors.New("there is no " + sshdPath)

// ErrUntrusted says that sshd was not asked: root would run what others can write. A
// configuration too has commands, by Match exec.
var ErrUntrusted = errors.New("sshd was not asked, as root would run what others can write")

// Query is what an sshd is asked, for what is in force.
type Query struct {
	// Program is "" for the distribution's.
	Program string
	// Config is the file that it reads first, "" for SSHDConfig.
	Config string
	// Arguments are others, as it is started with.
	Arguments []string
	// Spec is the login that is meant, "" for any that no Match is about.
	Spec string
}

// Args are sshd's for that, on a tree of files if root is not "".
func (q Query) Args(root string) []string {
	args := append([]string{"-T"}, q.Arguments...)
	switch {
	case q.Config != "":
		args = append(args, "-f", root+q.Config)
	case root != "":
		args = append(args, "-f", root+SSHDConfig)
	}
	if q.Spec != "" {
		args = append(args, "-C", q.Spec)
	}
	return args
}

func (m *Machine) realSSHD(ctx context.Context, query Query) (string, error) {
	program := query.Program
	if program == "" || m.Root != "" {
		program = sshdPath
	}
	if _, err := os.Stat(program); err != nil {
		return "", ErrNoSSHD
	}
	if os.Geteuid() == 0 && m.Root == "" {
		for _, path := range []string{program, query.Config} {
			if path == "" {
				continue
			}
			if err := RootsAlone(path); err != nil {
				return "", fmt.Errorf("%w: %w", ErrUntrusted, err)
			}
		}
	}
	return RunSSHD(ctx, m.Root, program, query.Args(m.Root))
}

// surroundings is where sshd finds the directory that it wants below /run and, if
// there is a root, the names of that tree beside its own user.
const surroundings = `root=$1; shift
mount -t tmpfs -o mode=755 none /run && mkdir -m 755 /run/sshd || exit
for kind in passwd group; do
	if test -n "$root" && test -e "$root/etc/$kind"; then
		{ cat "$root/etc/$kind"; grep ^sshd: /etc/$kind; } >/run/$kind
		mount --bind /run/$kind /etc/$kind || exit
	fi
done
exec "$@"`

// RunSSHD runs sshd on what is below root. Only a service that is running has
// its directory below /run, and nothing is to be changed, so that it is in a
// mount namespace of the command's own.
func RunSSHD(ctx context.Context, root, program string, args []string) (string, error) {
	if program == "" {
		program = sshdPath
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	if _, err := os.Stat("/run/sshd"); (err != nil || root != "") && os.Geteuid() == 0 {
		cmd = exec.CommandContext(ctx, "unshare", append([]string{"--mount", "sh", "-c", surroundings, "sh", root, program}, args...)...)
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	cmd.WaitDelay = time.Second // for what it started
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("sshd %s: %w", strings.Join(args, " "), ctx.Err())
	}
	if err != nil {
		return "", fmt.Errorf("sshd %s: %w: %s", strings.Join(args, " "), err, strings.Join(strings.Fields(complaint.String()), " "))
	}
	return string(out), nil
}

// InForce is what the machine's sshd says of logins that no Match is about.
func (m *Machine) InForce(ctx context.Context) (string, error) { return m.SSHD(ctx, Query{}) }
