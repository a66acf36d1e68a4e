package e2e

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/machine"
)

// token is a key in hardware, as PROTOCOL.u2f of OpenSSH has it, that says of
// itself what the test wants.
type token struct {
	public ssh.PublicKey
	sign   func(data []byte) []byte
	flags  byte
}

const application = "ssh:"

func newToken(t *testing.T, kind string) *token {
	t.Helper()
	var blob []byte
	k := &token{}
	if kind == ssh.KeyAlgoSKED25519 {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		must(t, err)
		blob = ssh.Marshal(struct{ Kind, Key, Application string }{kind, string(public), application})
		k.sign = func(data []byte) []byte { return ed25519.Sign(private, data) }
	} else {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		point, err := private.PublicKey.Bytes()
		must(t, err)
		blob = ssh.Marshal(struct{ Kind, Curve, Key, Application string }{kind, "nistp256", string(point), application})
		signer, err := ssh.NewSignerFromKey(private)
		must(t, err)
		k.sign = func(data []byte) []byte {
			signature, err := signer.Sign(rand.Reader, data)
			must(t, err)
			return signature.Blob
		}
	}
	public, err := ssh.ParsePublicKey(blob)
	must(t, err)
	k.public = public
	return k
}

// PublicKey implements ssh.Signer.
func (k *token) PublicKey() ssh.PublicKey { return k.public }

// Sign implements ssh.Signer.
func (k *token) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	app, message := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	rest := binary.BigEndian.AppendUint32([]byte{k.flags}, 7)
	signed := append(append(app[:], rest...), message[:]...)
	return &ssh.Signature{Format: k.public.Type(), Blob: k.sign(signed), Rest: rest}, nil
}

// A key in hardware must have been touched, and have asked for its PIN where
// that is wanted, by the person's line or by the certificate.
func TestSFTPHardwareKeys(t *testing.T) {
	t.Parallel()
	trusted := filepath.Join(t.TempDir(), "user_ca.pub")
	ca, own := ed25519Key(t), ed25519Key(t)
	write(t, trusted, string(ssh.MarshalAuthorizedKey(ca.PublicKey())))
	s := startSFTPD(t, "sftp-hardware", noCodes, patient+"unproven_keys = \"allow\"\ntrusted_user_ca_keys = \""+trusted+"\"\n")
	p := machine.NewPerson(t, "sfw")
	const nothing, touched, both = 0, 1, 5
	in := func(signer ssh.Signer) bool {
		return (&sshClient{person: p, server: s}).in(t, ssh.PublicKeys(signer))
	}
	for _, kind := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		seen := kind == ssh.KeyAlgoSKED25519
		key := newToken(t, kind)
		for _, test := range []struct {
			options string
			flags   byte
			want    bool
		}{
			{"", touched, true}, {"", nothing, false}, {"", both, true}, {"no-touch-required ", nothing, seen},
			{"verify-required ", touched, false}, {"verify-required ", both, seen}, {"verify-required,no-touch-required ", nothing, false},
		} {
			key.flags = test.flags
			authorize(t, p, test.options+string(ssh.MarshalAuthorizedKey(key.public)))
			if got := in(key); got != test.want {
				t.Errorf("%s: %q with flags %d: expected in %v, found %v\n%s", kind, test.options, test.flags, test.want, got, machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
		}
		pin, free := map[string]string{"verify-required": ""}, map[string]string{"no-touch-required": ""}
		for _, test := range []struct {
			ca                   ssh.Signer
			options              string // of the person's line for the authority
			critical, extensions map[string]string
			flags                byte
			want                 bool
		}{
			{ca, "", nil, nil, touched, true}, {ca, "", nil, nil, nothing, false},
			{ca, "", nil, free, nothing, true}, {ca, "", pin, nil, touched, false}, {ca, "", pin, nil, both, seen},
			{own, "cert-authority ", nil, nil, touched, true}, {own, "cert-authority ", nil, nil, nothing, false},
			{own, "cert-authority ", nil, free, nothing, false},
			{own, "cert-authority,no-touch-required ", nil, nil, nothing, false},
			{own, "cert-authority,no-touch-required ", nil, free, nothing, true},
			{own, "cert-authority,verify-required ", nil, nil, touched, false},
			{own, "cert-authority,verify-required ", nil, nil, both, seen},
		} {
			key.flags = test.flags
			authorize(t, p, test.options+string(ssh.MarshalAuthorizedKey(own.PublicKey())))
			cert := &ssh.Certificate{ValidPrincipals: []string{p.Name}, Permissions: ssh.Permissions{CriticalOptions: test.critical, Extensions: test.extensions}}
			if got := in(certifiedSigner(t, test.ca, key, cert)); got != test.want {
				t.Errorf("%s: %q, certificate with %v %v, flags %d: expected in %v, found %v\n%s", kind, test.options, test.critical, test.extensions, test.flags, test.want, got,
					machine.Text(machine.Log.Lines("user="+p.Name+" ")))
			}
		}
	}
}
