package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// host is a small PAM application that has stayed the same since it started:
// every side is called by the same process.
type host struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

const confdir = disk + "/pam.d"

func startHost() (*host, error) {
	// Before its neighbours, so that what else the machine does shows less.
	cmd := exec.Command("nice", "-n", "-15", disk+"/pamhost", "--confdir", confdir, "--stdin", "--time")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C"}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the host: %w", err)
	}
	return &host{cmd, in, bufio.NewScanner(out)}, nil
}

// login returns the time from pam_start to pam_end. Any other verdict than
// success is an error.
func (h *host) login(service, user, code string) (time.Duration, error) {
	if _, err := fmt.Fprintf(h.in, "%s\t%s\t%s\n", service, user, code); err != nil {
		return 0, fmt.Errorf("host: %w", err)
	}
	if !h.out.Scan() {
		return 0, fmt.Errorf("the host ended: %v", h.out.Err())
	}
	var total, authenticate int64
	var verdict string
	if n, err := fmt.Sscan(h.out.Text(), &total, &authenticate, &verdict); n != 3 {
		return 0, fmt.Errorf("the host said %q: %w", h.out.Text(), err)
	}
	if verdict != "PAM_SUCCESS" {
		return 0, fmt.Errorf("%s was not let in: %s%s", user, verdict, logged(user))
	}
	return time.Duration(total), nil
}

func (h *host) end() error {
	if err := h.in.Close(); err != nil {
		return err
	}
	return h.cmd.Wait()
}
