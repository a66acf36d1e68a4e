package e2e

import (
	"crypto/dsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// weakSigners are keys that OpenSSH refuses: DSA's, and RSA's with SHA-1.
func weakSigners(t *testing.T) map[string]ssh.Signer {
	t.Helper()
	small := &dsa.PrivateKey{}
	must(t, dsa.GenerateParameters(&small.Parameters, rand.Reader, dsa.L1024N160))
	must(t, dsa.GenerateKey(small, rand.Reader))
	dsaSigner, err := ssh.NewSignerFromKey(small)
	must(t, err)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	rsaSigner, err := ssh.NewSignerFromKey(key)
	must(t, err)
	sha1, err := ssh.NewSignerWithAlgorithms(rsaSigner.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	must(t, err)
	return map[string]ssh.Signer{"DSA": dsaSigner, "RSA with SHA-1": sha1}
}

// handshake tries what a client could offer alone, and says what the server
// offered in return if there was nothing in common.
func handshake(t *testing.T, s *hosts.SFTPD, p *machine.Person, change func(*ssh.ClientConfig)) (offered []string) {
	t.Helper()
	config := &ssh.ClientConfig{User: p.Name, HostKeyCallback: ssh.InsecureIgnoreHostKey()}
	change(config)
	conn := (&sshClient{person: p, server: s}).dial(t)
	defer conn.Close()
	_, _, _, err := ssh.NewClientConn(conn, "", config)
	var negotiation *ssh.AlgorithmNegotiationError
	if errors.As(err, &negotiation) {
		return negotiation.RequestedAlgorithms
	}
	if err == nil || !strings.Contains(err.Error(), "unable to authenticate") {
		t.Errorf("expected that the login fails after the key exchange, found %v", err)
	}
	return nil
}

// Each algorithm by itself: those that are weak come to nothing, the others to a
// login.
func TestSFTPAlgorithms(t *testing.T) {
	t.Parallel()
	keys := `host_keys = ["` + machine.Root + `/ssh_host_key", "` + keyPair(t, "rsa") + `", "` + keyPair(t, "ecdsa") + `"]` + "\n"
	hosts.HostFingerprint(t) // makes it
	s := startSFTPD(t, "sftp-algorithms", noCodes, patient+"limits.startups_per_source = 100\n"+keys)
	p := machine.NewPerson(t, "sfj")
	weak := ssh.InsecureAlgorithms()
	for _, test := range []struct {
		what       string
		taken, not []string
		set        func(c *ssh.ClientConfig, one string)
	}{
		{"key exchange", []string{"mlkem768x25519-sha256", "curve25519-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp521", "diffie-hellman-group16-sha512"},
			append(weak.KeyExchanges, "diffie-hellman-group14-sha256"), func(c *ssh.ClientConfig, one string) { c.KeyExchanges = []string{one} }},
		{"cipher", []string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"},
			weak.Ciphers, func(c *ssh.ClientConfig, one string) { c.Ciphers = []string{one} }},
		{"MAC", []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1"},
			weak.MACs, func(c *ssh.ClientConfig, one string) { c.Ciphers, c.MACs = []string{"aes128-ctr"}, []string{one} }},
		{"host key", []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256", "rsa-sha2-512"}, weak.HostKeys, func(c *ssh.ClientConfig, one string) { c.HostKeyAlgorithms = []string{one} }},
	} {
		for _, one := range test.taken {
			if offered := handshake(t, s, p, func(c *ssh.ClientConfig) { test.set(c, one) }); offered != nil {
				t.Errorf("%s: %s is not offered, but %q", test.what, one, offered)
			}
		}
		for _, one := range test.not {
			offered := handshake(t, s, p, func(c *ssh.ClientConfig) { test.set(c, one) })
			if len(offered) == 0 || slices.Contains(offered, one) {
				t.Errorf("%s: %s is taken: %q", test.what, one, offered)
			}
		}
	}
}

// Keys that the person has authorized long ago let nobody in any more, with a
// code or without, also where the front is believed.
func TestSFTPWeakKeys(t *testing.T) {
	t.Parallel()
	s := startSFTPD(t, "sftp-weak", "", patient+"unproven_keys = \"allow\"\n")
	for what, signer := range weakSigners(t) {
		free, asked := machine.NewPerson(t, "sfj"), machine.NewPerson(t, "sfj").Enroll(t, s.Site.Users)
		for _, p := range []*machine.Person{free, asked} {
			authorize(t, p, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
		}
		if v := (&sshClient{person: free, server: s}); v.in(t, ssh.PublicKeys(signer)) {
			t.Errorf("%s: in without a code", what)
		}
		v := &sshClient{person: asked, server: s, codes: []string{asked.Code(t, 0)}, keyOnly: true}
		if v.in(t, ssh.PublicKeys(signer), ssh.KeyboardInteractive(v.challenge)) {
			t.Errorf("%s: in with a code", what)
		}
	}
}

// The broker refuses them too, and signs nothing that is not offered.
func TestSFTPTakenOverAlgorithms(t *testing.T) {
	t.Parallel()
	rsaKey := keyPair(t, "rsa")
	s := startHostile(t, "sftp-taken-weak", "", patient+"unproven_keys = \"allow\"\nhost_keys = [\""+rsaKey+"\"]\n")
	for what, signer := range weakSigners(t) {
		p := machine.NewPerson(t, "sfj")
		key := signer.PublicKey().Marshal()
		authorize(t, p, string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
		for _, format := range []string{signer.PublicKey().Type(), ""} {
			var w fields.Writer
			kind := signer.PublicKey().Type()
			c := take(t, s, p)
			if outcome := c.step(w.U8(messages.AskProve).Text(p.Name).Blob(key).Text(kind).Text("").Text(format).Bytes); outcome == messages.Accepted || c.hasSession() {
				t.Errorf("%s as %q is accepted", what, format)
			}
		}
		var w fields.Writer
		if outcome := take(t, s, p).step(w.U8(messages.AskOffer).Text(p.Name).Blob(key).Bytes); what == "DSA" && outcome == messages.Partial {
			t.Errorf("%s may be proven", what)
		}
	}
	p := machine.NewPerson(t, "sfj")
	sign := func(algorithm string, size int) error {
		_, _, err := take(t, s, p).ask(fields.Message(messages.AskSign).Blob(hosts.PublicKey(t, rsaKey)).Text(algorithm).Blob(make([]byte, size)).Bytes)
		return err
	}
	for _, bad := range []struct {
		algorithm string
		size      int
	}{{ssh.KeyAlgoRSA, 32}, {ssh.KeyAlgoRSASHA512, 20}, {ssh.KeyAlgoED25519, 32}, {ssh.InsecureKeyAlgoDSA, 32}, {"", 32}} {
		if sign(bad.algorithm, bad.size) == nil {
			t.Errorf("the broker signed %d bytes with %q", bad.size, bad.algorithm)
		}
	}
	if err := sign(ssh.KeyAlgoRSASHA256, 32); err != nil {
		t.Errorf("what is offered was not signed: %v", err)
	}
}
