package usercert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

var (
	here = netip.MustParseAddr("192.0.2.7")
	now  = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

func signerOf(t testing.TB, key any) ssh.AlgorithmSigner {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.(ssh.AlgorithmSigner)
}

func ed25519Signer(t testing.TB) ssh.AlgorithmSigner {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signerOf(t, private)
}

// sign makes a certificate of alice's that is good, but for what change does.
func sign(t testing.TB, authority ssh.AlgorithmSigner, algorithm string, key ssh.PublicKey, change func(*ssh.Certificate)) []byte {
	t.Helper()
	cert := &ssh.Certificate{Key: key, Serial: 5, CertType: ssh.UserCert, KeyId: "alice's", ValidPrincipals: []string{"alice", "ops"},
		ValidAfter: uint64(now.Unix()), ValidBefore: uint64(now.Unix()) + 60, Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}}}
	if change != nil {
		change(cert)
	}
	limited, err := ssh.NewSignerWithAlgorithms(authority, []string{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.SignCert(rand.Reader, limited); err != nil {
		t.Fatal(err)
	}
	return cert.Marshal()
}

func TestCheck(t *testing.T) {
	authority, key := ed25519Signer(t), ed25519Signer(t).PublicKey()
	critical := func(options ...string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{}
			for i := 0; i < len(options); i += 2 {
				c.CriticalOptions[options[i]] = options[i+1]
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*ssh.Certificate)
		want   string // of the error, "" for none
	}{
		"good":                {nil, ""},
		"for ever":            {func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity }, ""},
		"a host's":            {func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, "not a user's"},
		"nobody's type":       {func(c *ssh.Certificate) { c.CertType = 0 }, "not a user's"},
		"without principals":  {func(c *ssh.Certificate) { c.ValidPrincipals = nil }, "no principals"},
		"expired":             {func(c *ssh.Certificate) { c.ValidBefore = uint64(now.Unix()) }, "valid until 2026-11-22T10:00:00Z"},
		"never valid":         {func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, 0 }, "valid until"},
		"not yet valid":       {func(c *ssh.Certificate) { c.ValidAfter++ }, "not valid before 2026-11-22T10:00:01Z"},
		"valid in an age":     {func(c *ssh.Certificate) { c.ValidAfter = ssh.CertTimeInfinity - 1 }, "not valid before"},
		"from here":           {critical("source-address", "10.0.0.0/8,192.0.2.0/24"), ""},
		"from elsewhere":      {critical("source-address", "10.0.0.0/8"), "good from 10.0.0.0/8 alone"},
		"from nowhere":        {critical("source-address", ""), "good from"},
		"from a name":         {critical("source-address", "host.example.com,192.0.2.7"), "good from"},
		"internal-sftp":       {critical("force-command", "internal-sftp"), ""},
		"a command":           {critical("force-command", "/bin/true"), "forces a command"},
		"no command":          {critical("force-command", ""), "forces a command"},
		"a PIN":               {critical("verify-required", ""), ""},
		"a PIN with a value":  {critical("verify-required", "x"), `"verify-required" is not known`},
		"unknown":             {critical("no-such@example.com", ""), `"no-such@example.com" is not known`},
		"an extension's name": {critical("permit-pty", ""), "is not known"},
		"good and unknown":    {critical("force-command", "internal-sftp", "z", ""), `"z" is not known`},
		"extensions are idle": {func(c *ssh.Certificate) {
			c.Extensions = map[string]string{"no-such": "x", "force-command": "/bin/true"}
		}, ""},
	} {
		cert, err := Parse(sign(t, authority, ssh.KeyAlgoED25519, key, test.change))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := cert.Check(here, now); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: expected %q, found %v", name, test.want, err)
		}
	}
}

// Every byte that was signed matters, and who signed.
func TestCheckSignature(t *testing.T) {
	authority, key := ed25519Signer(t), ed25519Signer(t).PublicKey()
	blob := sign(t, authority, ssh.KeyAlgoED25519, key, nil)
	for i := range blob {
		changed := bytes.Clone(blob)
		changed[i] ^= 1
		if cert, err := Parse(changed); err == nil && cert.Check(here, now) == nil {
			t.Errorf("good with byte %d of %d changed", i, len(blob))
		}
	}
	other := ed25519Signer(t).PublicKey().Marshal()
	swapped := bytes.Replace(blob, authority.PublicKey().Marshal(), other, 1)
	if cert, err := Parse(swapped); err != nil || cert.Check(here, now) == nil {
		t.Errorf("good by another authority: %v", err)
	}
	for end := range blob {
		if _, err := Parse(blob[:end]); err == nil {
			t.Errorf("the first %d bytes are a certificate", end)
		}
	}
	if _, err := Parse(append(bytes.Clone(blob), 0)); err == nil {
		t.Error("a byte too many is a certificate")
	}
	if _, err := Parse(key.Marshal()); err == nil || Is(key.Marshal()) {
		t.Error("a plain key is a certificate")
	}
}

func TestKinds(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signers := []ssh.AlgorithmSigner{ed25519Signer(t), signerOf(t, rsaKey), signerOf(t, ecdsaKey)}
	for _, test := range []struct {
		authority ssh.AlgorithmSigner
		algorithm string
		want      bool
	}{
		{signers[0], ssh.KeyAlgoED25519, true},
		{signers[1], ssh.KeyAlgoRSASHA256, true},
		{signers[1], ssh.KeyAlgoRSASHA512, true},
		{signers[1], ssh.KeyAlgoRSA, false},
		{signers[2], ssh.KeyAlgoECDSA384, true},
	} {
		for _, certified := range signers {
			key := certified.PublicKey()
			blob := sign(t, test.authority, test.algorithm, key, nil)
			cert, err := Parse(blob)
			if err != nil || !bytes.Equal(cert.Key, key.Marshal()) || !bytes.Equal(cert.Authority, test.authority.PublicKey().Marshal()) || cert.Serial != 5 || cert.ID != "alice's" {
				t.Errorf("%s: %+v %v", key.Type(), cert, err)
			}
			if err := cert.Check(here, now); (err == nil) != test.want {
				t.Errorf("%s certified with %s: expected good %v, found %v", key.Type(), test.algorithm, test.want, err)
			}
		}
	}
}

func TestList(t *testing.T) {
	key := ed25519Signer(t).PublicKey()
	line := string(ssh.MarshalAuthorizedKey(key))
	parsed, err := ssh.ParsePublicKey(sign(t, ed25519Signer(t), ssh.KeyAlgoED25519, key, nil))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := List([]byte("# revoked\n\n" + line + "  \r\n" + string(ssh.MarshalAuthorizedKey(parsed))))
	if err != nil || len(keys) != 2 || !bytes.Equal(keys[0], key.Marshal()) || !bytes.Equal(keys[1], key.Marshal()) {
		t.Errorf("%x %v", keys, err)
	}
	for text, want := range map[string]string{
		"restrict " + line:               "line 1: expected a public key",
		"# x\nssh-ed25519 AAAA\n":        "line 2: expected",
		line[:60]:                        "line 1: expected",
		"key: " + line:                   "line 1: expected",
		"SSHKRL\n\x00\x00\x00\x00\x01":   "KRL",
		"-----BEGIN OPENSSH PRIVATE KEY": "line 1: expected",
	} {
		if _, err := List([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: expected %q, found %v", text, want, err)
		}
	}
}

// The processes of a fuzzing run must have the same certificate.
func FuzzParse(f *testing.F) {
	authority := signerOf(f, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	cert := &ssh.Certificate{Key: authority.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"alice"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(bytes.NewReader(make([]byte, 32)), authority); err != nil {
		f.Fatal(err)
	}
	blob := cert.Marshal()
	f.Add(blob)
	f.Fuzz(func(t *testing.T, data []byte) {
		if cert, err := Parse(data); err == nil && cert.Check(here, now) == nil && !bytes.Equal(data, blob) {
			t.Errorf("%x is good", data)
		}
	})
}
