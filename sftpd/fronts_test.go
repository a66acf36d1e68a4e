package main

import (
	"os/exec"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
)

// A front that takes nothing off its line is ended, so that another is started,
// and holds up no connection for long.
func TestDeafFront(t *testing.T) {
	t.Parallel()
	hub, theirs, err := packet.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	defer theirs.Close()
	f := &front{hub: hub, cmd: exec.Command("sleep", "60")}
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		for {
			if err := f.send(make([]byte, 32<<10)); err != nil {
				sent <- err
				return
			}
		}
	}()
	select {
	case <-sent:
	case <-time.After(hubPatience + time.Minute):
		_ = f.cmd.Process.Kill()
		t.Error("a message waits for ever")
	}
	if err := f.cmd.Wait(); err == nil {
		t.Error("the front was left alone")
	}
}
