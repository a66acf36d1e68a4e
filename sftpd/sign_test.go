package main

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// A connection's host keys are those of its beginning: whoever is in when others
// are put in their place goes on with the one that the client knows, and those
// that come after get the new one.
func TestHostKeysUnderARunningConnection(t *testing.T) {
	b := testBroker(t, "")
	old := b.keys
	v, front := testConnection(t, b)
	go func() { v.serve(func() {}); v.end() }()
	defer front.Close()
	ask := func(key hostKey, data string) bool {
		t.Helper()
		buffer := make([]byte, messages.MaxSize)
		if err := front.Send(message(messages.AskSign).Blob(key.public).Text("ssh-ed25519").Blob([]byte(data)).Bytes); err != nil {
			t.Fatal(err)
		}
		n, _, err := front.Receive(buffer)
		if err != nil {
			return false
		}
		r := seqpacket.NewReader(buffer[:n])
		r.U8()
		return key.signer.PublicKey().Verify([]byte(data), &ssh.Signature{Format: r.Text(), Blob: r.Blob()}) == nil
	}
	if !ask(old[0], strings.Repeat("a", 32)) {
		t.Fatal("the first exchange is not signed")
	}
	found, err := loadHostKeys([]string{filepath.Join(t.TempDir(), "ssh_host_ed25519_key")}, true)
	if err != nil {
		t.Fatal(err)
	}
	fresh := found.keys
	b.mu.Lock()
	b.keys = fresh
	b.mu.Unlock()
	if !ask(old[0], strings.Repeat("b", 32)) {
		t.Error("the next exchange is not signed by the key of the connection")
	}
	if ask(fresh[0], strings.Repeat("c", 32)) {
		t.Error("signed by a key that the client does not know")
	}
}
