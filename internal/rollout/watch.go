package rollout

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Watch waits until a change is confirmed or its time is over, and then puts
// back what was there. Once it has seen how much time is left it counts by its own
// clock, which nobody sets.
// undone is false if there was nothing to undo.
func (c Changer) Watch(service string, within, every time.Duration) (p Pending, kept string, undone bool, err error) {
	began := time.Now()
	if pending, err := c.load(service); err == nil {
		within = min(within, pending.Left(c.Now()))
	}
	for {
		if _, err := c.load(service); errors.Is(err, ErrNothingPending) {
			return p, "", false, nil
		}
		if time.Since(began) >= within {
			break
		}
		time.Sleep(every)
	}
	for {
		p, kept, err = c.Restore(service)
		switch {
		case errors.Is(err, ErrNothingPending):
			return p, "", false, nil
		case err == nil:
			return p, kept, true, nil
		case time.Since(began) > within+time.Hour:
			return p, "", false, err
		}
		time.Sleep(every) // a disk that is full may be emptied
	}
}

// StartWatchdog starts a program in a session of its own, so that it outlives
// the shell, the terminal and the login that started it. Where systemd runs, it
// is a unit of its own, so that it outlives the login's scope too.
func StartWatchdog(service string, args ...string) (pid int, err error) {
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		if pid, err := startUnit("otpgate-pam-"+service, program, args); err == nil {
			return pid, nil
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the process that undoes the change: %w", err)
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release()
}

func startUnit(unit, program string, args []string) (pid int, err error) {
	run := append([]string{"--quiet", "--collect", "--unit=" + unit, "--", program}, args...)
	if err := exec.Command("systemd-run", run...).Run(); err != nil {
		return 0, err
	}
	shown, err := exec.Command("systemctl", "show", "--value", "--property=MainPID", unit).Output()
	if err != nil {
		return 0, err
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(shown)))
	if err != nil || pid == 0 {
		return 0, fmt.Errorf("systemd did not start %s", unit)
	}
	return pid, nil
}
