package hosts

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/e2e/network"
)

// KnownHosts is a file with the servers' keys for all hosts.
const KnownHosts = machine.Root + "/known_hosts"

// hostKey makes the key that all servers of a test's machine have.
var hostKey = sync.OnceValues(func() (string, error) {
	path := machine.Root + "/ssh_host_key"
	output, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make a host key: %w: %s", err, output)
	}
	public, err := os.ReadFile(path + ".pub")
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(KnownHosts, append([]byte("* "), public...), 0o644)
})

// KeyExchange is what the tests' OpenSSH clients use unless a test says
// otherwise: what they prefer takes a tenth of a second of a processor.
const KeyExchange = "KexAlgorithms=curve25519-sha256"

// OwnKeyExchange has them use what they prefer.
const OwnKeyExchange = "KexAlgorithms=+curve25519-sha256"

// SSHOptions are what OpenSSH's programs need to reach a port of the machine as
// p.
func SSHOptions(port int, p *machine.Person, options ...string) []string {
	args := []string{"-F", "none"}
	all := append([]string{
		"BindAddress=" + p.Address, "Port=" + strconv.Itoa(port), "StrictHostKeyChecking=yes", "UserKnownHostsFile=" + KnownHosts, "IdentityAgent=none",
	}, options...)
	if !strings.Contains(strings.Join(options, " "), "KexAlgorithms") {
		all = append(all, KeyExchange)
	}
	if !strings.Contains(strings.Join(options, " "), "NumberOfPasswordPrompts") {
		all = append(all, "NumberOfPasswordPrompts=1")
	}
	for _, option := range all {
		args = append(args, "-o", option)
	}
	return args
}

// dial connects from one loopback address of a machine to another.
func dial(t machine.T, place *network.Namespace, from, to string) (connection net.Conn) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: machine.Patience}
	var err error
	place.Within(t, func() { connection, err = dialer.Dial("tcp", to) })
	if err != nil {
		t.Fatalf("reach %s: %v", to, err)
	}
	return connection
}

// HostKey is the public half of the servers' key, as on the wire.
func HostKey(t machine.T) []byte {
	t.Helper()
	path, err := hostKey()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return PublicKey(t, path)
}

// PublicKey is the public half of the private key in a file, as on the wire.
func PublicKey(t machine.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatalf("%v", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		t.Fatalf("%s.pub: %v", path, err)
	}
	return key.Marshal()
}

// HostFingerprint is the SHA-256 fingerprint of the servers' key.
func HostFingerprint(t machine.T) string {
	t.Helper()
	path, err := hostKey()
	if err != nil {
		t.Fatalf("%v", err)
	}
	output, err := exec.Command("ssh-keygen", "-l", "-f", path).Output()
	fields := strings.Fields(string(output))
	if err != nil || len(fields) < 2 {
		t.Fatalf("fingerprint: %v: %s", err, output)
	}
	return fields[1]
}
