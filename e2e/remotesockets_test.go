package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// A process with the gateway's uid reaches the verifier's socket, and not that of
// otpgate-ledgerd, by which the ledger is read and written, nor that of otpgate-sftpd's
// metrics. It can put nothing beside these or into what sftpd made for its fronts, and can
// neither look into sftpd's process nor signal it.
func TestRemoteGatewayReachesOneSocket(t *testing.T) {
	t.Parallel()
	server := fleetOf(t).NewSharers(t, "r-sockets", "")[0]
	metrics := filepath.Join(filepath.Dir(server.Socket), "metrics.sock")
	sftpd := hosts.StartSFTPD(t, server.Site, "", "metrics = \"unix:"+metrics+"\"\n")
	const reach = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
	as := func(program string, args ...string) (string, error) {
		cmd := exec.Command(program, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: machine.GatewayCredential(t)}
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	// What it needs, so that a program that can do nothing is noticed.
	if said, err := as("/usr/bin/python3", "-c", reach, server.Socket); err != nil {
		t.Errorf("it does not reach the verifier: %s", said)
	}
	for _, socket := range []string{server.Ledger(), metrics} {
		if output, err := exec.Command("/usr/bin/python3", "-c", reach, socket).CombinedOutput(); err != nil {
			t.Errorf("nobody reaches %s: %s", socket, output)
		}
		if _, err := as("/usr/bin/python3", "-c", reach, socket); err == nil {
			t.Errorf("it reaches %s", socket)
		}
		if _, err := as("rm", socket); err == nil {
			t.Errorf("it can take %s away", socket)
		}
		if _, err := as("touch", filepath.Join(filepath.Dir(socket), "new")); err == nil {
			t.Errorf("it can listen beside %s", socket)
		}
	}
	run, pid := sftpd.Run(), fmt.Sprint(sftpd.PID())
	for _, words := range [][]string{{"touch", run + "/new"}, {"touch", run + "/empty/new"}, {"cat", "/proc/" + pid + "/environ"}, {"ls", "/proc/" + pid + "/fd"}, {"kill", "-0", pid}} {
		if said, err := as(words[0], words[1:]...); err == nil {
			t.Errorf("of otpgate-sftpd it can %q: %s", words, said)
		}
	}
}
