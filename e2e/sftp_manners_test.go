package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// The limit is the person's, whatever the number of connections.
func TestSFTPBandwidth(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-bandwidth", noCodes, patient+"limits.bandwidth = 1048576\nfronts = 2\n")
	p := machine.NewPerson(t, "sfw")
	signer, _ := newKey(t, p)
	done := make(chan error)
	began := time.Now()
	for i := range 2 {
		_, f := files(t, s, p, signer)
		go func() {
			file, err := f.Create(fmt.Sprint("file", i))
			if err == nil {
				_, err = file.ReadFrom(strings.NewReader(strings.Repeat("x", 1<<20)))
			}
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took < 1200*time.Millisecond {
		t.Errorf("2 MiB at 1 MiB/s took %v", took)
	}
}

// Behind a proxy that is listed the client's address counts, for the policy and
// the log; others cannot send such a header.
func TestSFTPProxyProtocol(t *testing.T) {
	t.Parallel()
	for where, site := range sftpPaths("sftp-proxy", "") {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			p := machine.NewPerson(t, "sfy")
			text := "[policy]\nrequire = [\"@all\"]\ntrusted_networks = [\"192.0.2.0/24\"]\n"
			behindProxy(t, hosts.StartSFTPD(t, site(t), text, patient+"proxy_protocol = [\""+p.Address+"\"]\n"), p)
		})
	}
}

func behindProxy(t *testing.T, s *hosts.SFTPD, p *machine.Person) {
	signer, _ := newKey(t, p)
	through := func(address, header string) error {
		conn := s.Dial(t, address)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(machine.Patience)))
		fmt.Fprint(conn, header)
		secure, _, _, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{User: p.Name, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err == nil {
			secure.Close()
		}
		return err
	}
	const trusted, stranger = "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n", "PROXY TCP4 198.51.100.7 10.0.0.1 1 2\r\n"
	if err := through(p.Address, trusted); err != nil {
		t.Errorf("from a trusted network: %v", err)
	}
	if err := through(p.Address, stranger); err == nil {
		t.Error("in from another network without a code")
	}
	if err := through("127.99.0.1", trusted); err == nil {
		t.Error("somebody who is no proxy said who the client is")
	}
	if err := through(p.Address, ""); err == nil {
		t.Error("in without a header")
	}
	expectAudit(t, p, "remote=192.0.2.7", "rule=policy.trusted_networks")
	expectAudit(t, p, "remote=198.51.100.7", "verdict=denied")
}

// The metrics count logins, bytes and operations, and name nobody.
func TestSFTPMetrics(t *testing.T) {
	t.Parallel()
	socket := "/run/sftp-metrics.sock"
	s := startSFTPD(t, "sftp-metrics", noCodes, patient+"metrics = \"unix:"+socket+"\"\n")
	p, _, f := newFiles(t, s)
	file, err := f.Create("counted")
	must(t, err)
	_, err = file.Write(make([]byte, 12345))
	must(t, err)
	must(t, file.Close())
	var text string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the figures:\n%s", text)
		}
	})
	for _, line := range []string{
		"otpgate_sftp_written_bytes_total 12345", "otpgate_sftp_connections 1",
		`otpgate_sftp_verdicts_total{verdict="not-asked",rule="policy.exempt"} 1`, `otpgate_sftp_operations_total{op="transfer",result="ok"} 1`,
	} {
		machine.Until(t, "the figures have "+line, func() bool {
			text = figures(t, socket)
			return strings.Contains(text, line+"\n")
		})
	}
	if strings.Contains(text, p.Name) || strings.Contains(text, p.Address) {
		t.Errorf("a name or an address:\n%s", text)
	}
}

// figures are what the server counts, served at a socket: "" if it does not answer now.
func figures(t *testing.T, socket string) string {
	t.Helper()
	transport := &http.Transport{Dial: func(string, string) (net.Conn, error) { return net.Dial("unix", socket) }}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("http://x/metrics")
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

// OpenSSH's client learns a host key that is new.
func TestSFTPHostKeyRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path := dir; path != "/"; path = filepath.Dir(path) {
		must(t, os.Chmod(path, 0o755))
	}
	rsaKey := dir + "/rsa"
	if output, err := exec.Command("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", rsaKey).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	old := machine.Root + "/ssh_host_key"
	hosts.HostFingerprint(t) // makes it
	s := startSFTPD(t, "sftp-rotation", "", patient+fmt.Sprintf("host_keys = [%q, %q]\n", old, rsaKey))
	c := newScene(t, s, "sfh")
	known, err := os.ReadFile(hosts.KnownHosts)
	must(t, err)
	// A name with a wildcard is not updated.
	mine := c.write("known_hosts", strings.Replace(string(known), "* ", fmt.Sprintf("[127.0.0.1]:%d ", s.Port), 1), 0o644)
	// The client learns it beside what it does, so it stays until it has.
	c.write("commands", "pwd\n!until grep -q ssh-rsa known_hosts; do sleep 0.1; done\npwd\n", 0o644)
	args := append([]string{"-o", "UpdateHostKeys=yes", "-o", "UserKnownHostsFile=" + mine, "-o", "BatchMode=no", "-b", "commands"}, c.ssh()...)
	c.run("sftp", append(args, c.person.Name+"@127.0.0.1")...)
	learned, err := os.ReadFile(mine)
	must(t, err)
	if !strings.Contains(string(learned), "ssh-rsa ") {
		t.Errorf("the RSA key was not learned:\n%s", learned)
	}
}

// Another host key, read again while somebody is in, is for those who come: the
// client that is in goes on with the one it knows, at each further key exchange.
func TestSFTPHostKeyReplaced(t *testing.T) {
	t.Parallel()
	first, second := keyPair(t, "ed25519"), keyPair(t, "ed25519")
	path := t.TempDir() + "/host"
	write(t, path, read(t, first))
	must(t, os.Chmod(path, 0o600))
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	s := startSFTPD(t, "sftp-replaced", noCodes, patient+fmt.Sprintf("host_keys = [%q]\n", path))
	p := machine.NewPerson(t, "sfh")
	known := t.TempDir() + "/known"
	write(t, known, "* "+read(t, first+".pub"))
	data := t.TempDir() + "/data"
	write(t, data, strings.Repeat("x", 3<<20))
	args := append([]string{"-o", "UserKnownHostsFile=" + known, "-o", "UpdateHostKeys=no", "-o", "RekeyLimit=1M"}, s.SSHOptions(p)...)
	cmd := exec.Command("sftp", append(args, "-i", writeKey(t, p), "-b", "-", p.Name+"@127.0.0.1")...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	put := func(name string) error {
		_, err := fmt.Fprintf(in, "put %s %s\nrename %s done-%s\n", data, name, name, name)
		return err
	}
	arrived := func(name string) func() bool {
		return func() bool { _, err := os.Stat("/home/" + p.Name + "/done-" + name); return err == nil }
	}
	must(t, put("one"))
	machine.Until(t, "the first file is there", arrived("one"))
	write(t, path, read(t, second))
	s.Signal(t, syscall.SIGHUP)
	machine.Until(t, "others get the new key", func() bool {
		var offered ssh.PublicKey
		conn := (&sshClient{person: p, server: s}).dial(t)
		defer conn.Close()
		_, _, _, _ = ssh.NewClientConn(conn, "", &ssh.ClientConfig{User: p.Name, HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			offered = key
			return nil
		}})
		return offered != nil && string(offered.Marshal()) == string(hosts.PublicKey(t, second))
	})
	must(t, put("two"))
	must(t, in.Close())
	if err := cmd.Wait(); err != nil || !arrived("two")() {
		t.Errorf("the one who was in: %v\n%s", err, output.String())
	}
}

// A connection that does nothing, and one whose client does not answer, are ended. When,
// and which are not, is tested by sftpd/front: TestIdle, TestSlowDownloadIsNotIdle,
// TestWhateverComesIsASignOfLife.
func TestSFTPTimeouts(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"idle_timeout", "keepalive"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			s := startSFTPD(t, "sftp-"+limit, noCodes, patient+"limits."+limit+" = \"1s\"\n")
			p := machine.NewPerson(t, "sfi")
			signer, _ := newKey(t, p)
			// Nothing here answers what the server asks of the client.
			conn, _, _, err := ssh.NewClientConn((&sshClient{person: p, server: s}).dial(t), s.Address(), &ssh.ClientConfig{
				User: p.Name, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			})
			must(t, err)
			if err := conn.Wait(); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the server has not ended it: %v", err)
			}
			machine.Until(t, "its session is over", func() bool { return len(pieces(t, s)) == 0 })
		})
	}
}

// Started by systemd's socket.
func TestSFTPActivated(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	file, err := listener.(*net.TCPListener).File()
	must(t, err)
	site := machine.NewSite(t, "sftp-activated", "")
	machine.WriteService(t, "sftpd-activated", "@include common-auth\n@include common-account\n@include common-session\n")
	key := machine.Root + "/activated/ssh_host_ed25519_key"
	site.Configure(t, noCodes+"[sftp]\nhost_keys = [\""+key+"\"]\nfront_user = \"nobody\"\npam_service = \"sftpd-activated\"\n")
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh", machine.Files+"/otpgate-sftpd", "--config", site.Config, "--run", "/run/otpgate-sftpd-activated")
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p := machine.NewPerson(t, "sfz")
	signer, _ := newKey(t, p)
	client, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{User: p.Name, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: machine.Patience})
	must(t, err)
	client.Close()
	// The host key was made, for its owner alone.
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("host key: %v %v", info, err)
	}
}
