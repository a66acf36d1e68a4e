package algorithms

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// What is offered, word for word: a change is somebody's decision, and docs/sftpd.md
// says it too.
func TestLists(t *testing.T) {
	for name, list := range map[string]struct {
		found []string
		want  string
	}{
		"key exchanges": {KeyExchanges(), "mlkem768x25519-sha256 curve25519-sha256 ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521 diffie-hellman-group16-sha512"},
		"ciphers":       {Ciphers(), "aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com aes128-ctr aes192-ctr aes256-ctr"},
		"MACs":          {MACs(), "hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha2-256 hmac-sha2-512 hmac-sha1"},
		"host keys":     {AllHostKeySignatures(), "ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512 rsa-sha2-256"},
		"users' keys": {UserSignatures(),
			"ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512 rsa-sha2-256 sk-ssh-ed25519@openssh.com sk-ecdsa-sha2-nistp256@openssh.com"},
	} {
		if found := strings.Join(list.found, " "); found != list.want {
			t.Errorf("%s:\n  expected %s\n  found    %s", name, list.want, found)
		}
	}
}

// Nothing is offered that the library calls insecure, nor that it does not know.
func TestListsAgainstTheLibrary(t *testing.T) {
	good := ssh.SupportedAlgorithms()
	for _, list := range []struct{ ours, theirs []string }{
		{KeyExchanges(), good.KeyExchanges}, {Ciphers(), good.Ciphers}, {MACs(), good.MACs},
		{AllHostKeySignatures(), good.HostKeys}, {UserSignatures(), good.PublicKeyAuths},
	} {
		for _, name := range list.ours {
			if !slices.Contains(list.theirs, name) {
				t.Errorf("%s is not among %q", name, list.theirs)
			}
		}
	}
}

func TestKinds(t *testing.T) {
	for kind, want := range map[string]string{
		ssh.KeyAlgoRSA: "rsa-sha2-512 rsa-sha2-256", ssh.KeyAlgoED25519: "ssh-ed25519", ssh.KeyAlgoSKECDSA256: "sk-ecdsa-sha2-nistp256@openssh.com",
		ssh.InsecureKeyAlgoDSA: "", ssh.KeyAlgoMLDSA65: "", ssh.CertAlgoRSAv01: "", "": "", "x": "",
	} {
		if found := strings.Join(Signatures(kind), " "); found != want {
			t.Errorf("%q: expected %q, found %q", kind, want, found)
		}
	}
	for _, kind := range []string{ssh.InsecureKeyAlgoDSA, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ""} {
		if found := HostKeySignatures(kind); found != nil {
			t.Errorf("%q as a host key: %q", kind, found)
		}
	}
}
