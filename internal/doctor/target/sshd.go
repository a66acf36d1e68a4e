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

func (m *Machine) realSSHD(ctx context.Context, spec string) (string, error) {
	if _, err := os.Stat(sshdPath); err != nil {
		return "", ErrNoSSHD
	}
	args := []string{"-T"}
	if spec != "" {
		args = append(args, "-C", spec)
	}
	if m.Root != "" {
		args = append(args, "-f", m.Root+SSHDConfig)
	}
	return RunSSHD(ctx, args)
}

// RunSSHD runs sshd where the directory is that it wants below /run. Only a
// service that is running has one, and nothing is to be changed, so it is in a
// mount namespace of the command's own.
func RunSSHD(ctx context.Context, args []string) (string, error) {
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
