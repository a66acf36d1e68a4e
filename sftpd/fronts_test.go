package main

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// A front that takes nothing off its line is ended, so that another is started,
// and holds up no connection for long.
func TestDeafFront(t *testing.T) {
	t.Parallel()
	control, theirs, err := seqpacket.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	defer theirs.Close()
	f := &front{control: control, cmd: exec.Command("sleep", "600"), stalledAfter: 50 * time.Millisecond}
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
	<-sent
	if err := f.cmd.Wait(); err == nil {
		t.Error("the front was left alone")
	}
}

// Each front gets its share, one that is taken over and hangs up too; one that has
// ended gets nobody until another is started in its place.
func TestShareOfFronts(t *testing.T) {
	b := &broker{}
	for range 3 {
		b.fronts = append(b.fronts, &front{gone: make(chan struct{})})
	}
	shares := func() (all [3]int) {
		for range 300 {
			all[slices.Index(b.fronts, b.pick())]++
		}
		return all
	}
	if got := shares(); got != [3]int{100, 100, 100} {
		t.Errorf("of 300 connections the fronts have %v", got)
	}
	close(b.fronts[1].gone)
	if got := shares(); got[1] != 0 || got[0] == 0 || got[2] == 0 {
		t.Errorf("of 300 connections the fronts have %v, the second one has ended", got)
	}
}

// A command for keys is all that keys come from, so clients are offered the method.
func TestCommandIsAllThatThereIs(t *testing.T) {
	const policy = "[sftp]\nauthorized_keys = []\nkeys_command = [\"/bin/true\", \"%u\"]\nkeys_command_user = \"nobody\"\n"
	if settings, _ := testBroker(t, policy).frontSettings(); !settings.PublicKeys {
		t.Error("the front takes no keys")
	}
	if settings, _ := testBroker(t, "[sftp]\nauthorized_keys = []\n").frontSettings(); settings.PublicKeys {
		t.Error("the front takes keys where there can be none")
	}
}
