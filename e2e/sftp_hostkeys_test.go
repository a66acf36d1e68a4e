package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/machine"
)

// hostKeysIn are the keys that are made by themselves.
func hostKeysIn(dir string) []string {
	return []string{dir + "/ssh_host_rsa_key", dir + "/ssh_host_ecdsa_key", dir + "/ssh_host_ed25519_key"}
}

// withKeys is the table of a server with those files.
func withKeys(files []string) string {
	return patient + fmt.Sprintf("host_keys = [\"%s\"]\n", strings.Join(files, `", "`))
}

// knownBy is a known_hosts with keys of a server, once their files are there.
func knownBy(t *testing.T, c *scene, name string, files ...string) string {
	t.Helper()
	text := ""
	for _, file := range files {
		machine.Until(t, file+" is made", func() (there bool) {
			_, err := os.Stat(file)
			return err == nil
		})
		public, err := os.ReadFile(file + ".pub")
		must(t, err)
		text += fmt.Sprintf("[127.0.0.1]:%d %s", c.server.Port, public)
	}
	return c.write(name, text, 0o644)
}

// A server that starts for the first time has keys for clients of any age: each
// kind alone lets OpenSSH's client in, and ones that were there are kept.
func TestSFTPHostKeysOfAFirstStart(t *testing.T) {
	t.Parallel()
	dir := machine.Root + "/firststart"
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	files := hostKeysIn(dir)
	s := startSFTPD(t, "sftp-firststart", noCodes, withKeys(files))
	c := newScene(t, s, "sfh")
	known := knownBy(t, c, "known_hosts", files...)
	for algorithm, file := range map[string]string{"ssh-ed25519": files[2], "ecdsa-sha2-nistp256": files[1], "rsa-sha2-256": files[0], "rsa-sha2-512": files[0]} {
		alone := knownBy(t, c, "alone", file)
		login := func(known string) bool {
			args := append([]string{"-o", "HostKeyAlgorithms=" + algorithm, "-o", "UserKnownHostsFile=" + known, "-b", c.write("commands", "pwd\n", 0o644)}, c.ssh()...)
			return exec.Command("sftp", append(args, c.person.Name+"@127.0.0.1")...).Run() == nil
		}
		// The file is there a moment before it is offered.
		machine.Until(t, algorithm+" is offered", func() bool { return login(known) })
		if !login(alone) {
			t.Errorf("%s: the server's key is not that of %s", algorithm, file)
		}
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if made := strings.Count(s.Output(), "made the host key "+dir); made != 3 {
		t.Errorf("expected that three keys are told of, found %d:\n%s", made, s.Output())
	}
}

// A key that was there is kept beside those that the admin names now, and
// OpenSSH's client, which knows that one alone, is let in as before.
func TestSFTPHostKeysBesideAnOldOne(t *testing.T) {
	t.Parallel()
	dir := machine.Root + "/oldkey"
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	files := hostKeysIn(dir)
	must(t, os.MkdirAll(dir, 0o755))
	keygen(t, "-t", "ed25519", "-N", "", "-f", files[2])
	before := read(t, files[2])
	s := startSFTPD(t, "sftp-oldkey", noCodes, withKeys(files))
	c := newScene(t, s, "sfh")
	old := knownBy(t, c, "old", files[2])
	knownBy(t, c, "all", files...)
	args := append([]string{"-o", "UserKnownHostsFile=" + old, "-b", c.write("commands", "pwd\n", 0o644)}, c.ssh()...)
	c.run("sftp", append(args, c.person.Name+"@127.0.0.1")...)
	if read(t, files[2]) != before {
		t.Error("the key was replaced")
	}
	if strings.Contains(s.Output(), "made the host key "+files[2]) {
		t.Error("a key that was there was made")
	}
	v := &sshClient{person: c.person, server: s}
	if !v.in(t, ssh.PublicKeys(c.signer)) {
		t.Error(v.told)
	}
}
