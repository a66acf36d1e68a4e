package e2e

import (
	"bufio"
	"bytes"
	"encoding/base32"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/factor"
)

// A thousand connections that say nothing, from one address, leave others' logins as
// they are.
func TestRemoteStalled(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "r-stalled-s", "[totp]\nwindow = 3\n")
	p := machine.Stranger("rem").Enroll(t, server.Users)
	client := machine.NewClient(t, "r-stalled", machine.Client{}, server)
	client.CodeOnly(t, "r-stalled", "protocol=ssh")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}
	for range 1000 {
		conn, err := dialer.Dial("tcp", server.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	machine.Log.Expect(t, "remote=127.9.9.9", "verdict=turned-away", "rule=gateway.handshakes")
	for steps := -1; steps <= 1; steps++ {
		if !remoteLogin(t, client, p, p.Code(t, steps)) {
			t.Errorf("not in:\n%s", machine.Text(machine.Log.Lines("user="+p.Name+" ")))
		}
	}
}

// Nothing on a client's disk or in its verifier's memory is a secret or a hash of a
// recovery code.
func TestRemoteHoldsNoSecret(t *testing.T) {
	t.Parallel()
	server := machine.NewServer(t, "r-secret-s", "")
	p := machine.Stranger("rem")
	codes, recovery := factor.NewRecovery(p.Name)
	machine.Keep(codes...)
	p.Write(t, server.Users, p.SecretFile()+"\n[recovery]\nhashes = [\""+strings.Join(recovery.Hashes, `", "`)+"\"]\n")
	client := machine.NewClient(t, "r-secret", machine.Client{}, server)
	client.CodeOnly(t, "r-secret", "protocol=ssh")
	if !remoteLogin(t, client, p, p.Code(t, 0)) || !remoteLogin(t, client, p, codes[0]) {
		t.Fatal("not in")
	}
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(p.Secret)
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{[]byte(p.Secret), raw, []byte(recovery.Hashes[0]), []byte(recovery.Hashes[1])}
	// This process has them, so that a search that can find nothing is noticed.
	if !inMemory(t, os.Getpid(), secrets) {
		t.Error("the search does not find them here either")
	}
	if inMemory(t, client.Verifier.PID(), secrets) {
		t.Error("a secret is in the memory of the client's verifier")
	}
	for _, dir := range []string{filepath.Dir(client.Config), client.State} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			for _, secret := range secrets {
				if bytes.Contains(text, secret) {
					t.Errorf("a secret is in %s", path)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// It has made no ledger either.
	if entries, err := os.ReadDir(client.State); err != nil || len(entries) > 0 {
		t.Errorf("in the client's %s: %v, %v", client.State, entries, err)
	}
}

// inMemory says whether a process has one of the texts in what it can write.
func inMemory(t *testing.T, pid int, texts [][]byte) bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	looked := 0
	found := false
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to int64
		var mode string
		if n, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); n != 3 || err != nil || !strings.HasPrefix(mode, "rw") || to-from > 1<<30 {
			continue
		}
		area := make([]byte, to-from)
		n, _ := memory.ReadAt(area, from) // some of it may be nobody's
		looked += n
		for _, text := range texts {
			found = found || bytes.Contains(area[:n], text)
		}
	}
	if looked == 0 {
		t.Fatalf("nothing of the memory of process %d can be read", pid)
	}
	return found
}
