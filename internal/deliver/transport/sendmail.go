package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/otpgate/otpgate/internal/deliver"
)

// newSendmail returns what gives a message to the machine's own mail system.
// All of it goes over standard input: arguments are for others to see.
func newSendmail(path, from string) (func(context.Context, *mail.Msg) error, error) {
	if err := checkSendmail(path); err != nil {
		return nil, fmt.Errorf("sendmail: %w", err)
	}
	return func(ctx context.Context, letter *mail.Msg) error {
		var text bytes.Buffer
		if _, err := letter.WriteTo(&text); err != nil {
			return fmt.Errorf("write the message: %w", err)
		}
		// -i: a line with a dot ends nothing. -t: to whom is in the message.
		cmd := exec.CommandContext(ctx, path, "-i", "-t", "-f", from)
		cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(text.Bytes(), []byte("\r\n"), []byte("\n")))
		complaint := &head{most: maxComplaint}
		cmd.Stdout, cmd.Stderr = complaint, complaint
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		cmd.WaitDelay = time.Second
		// A queue runner that stays behind may hold its output.
		if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			err, known := fmt.Errorf("%s: %w: %s", path, err, complaint.kept), refusedBySendmail(err)
			if known {
				return deliver.NotSent(err)
			}
			return err
		}
		return nil
	}, nil
}

// triesLater is what sendmail ends with that could not pass on a message now, and may have
// put it into its queue (EX_TEMPFAIL).
const triesLater = 75

// refusedBySendmail says whether a program that failed has certainly not taken the message:
// it did not start, or said that it has not.
func refusedBySendmail(err error) bool {
	var ended *exec.ExitError
	return !errors.As(err, &ended) || ended.Exited() && ended.ExitCode() != triesLater
}

const maxComplaint = 1 << 10

// head keeps the first bytes of an output.
type head struct {
	kept []byte
	most int
}

func (h *head) Write(data []byte) (int, error) {
	h.kept = append(h.kept, data[:min(len(data), h.most-len(h.kept))]...)
	return len(data), nil
}

// checkSendmail takes a program that is root's and nobody else's to write. It
// may be a link: Debian's alternatives are.
func checkSendmail(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; install a mail system, or use smtp", err)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || info.Mode()&0o022 != 0 ||
		owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s: expected a program of root's that nobody else can write, found mode %v", real, info.Mode())
	}
	return nil
}
