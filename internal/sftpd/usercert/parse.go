// Package usercert reads the certificates that OpenSSH's authorities sign for
// users, and files of public keys.
//
// The entry points are [Parse] with [Certificate.Check], and [List]. The format
// is that of PROTOCOL.certkeys of OpenSSH, and a certificate is judged as
// sshd(8) does. Check promises that the authority signed it, that it is a user's
// and valid, and that no critical option forbids the login. Whether the
// authority is trusted, and for whom, is the caller's to say.
package usercert

import (
	"errors"
	"strings"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
)

// Certificate is what was signed, and by whom. Nothing of it is true before
// Check has said so.
type Certificate struct {
	// Key is the certified key, as on the wire without the certificate.
	Key        []byte
	Serial     uint64
	ID         string
	Principals []string
	// Authority is the key that is to have signed it.
	Authority []byte
	// NoTouch and Verify are about keys in hardware: that they need not be
	// touched, and that a PIN must have been given.
	NoTouch, Verify bool

	kind                    uint32
	validAfter, validBefore uint64
	critical                []option
	signed, signature       []byte
}

// option is a critical option or an extension.
type option struct {
	name  string
	value []byte // as on the wire: empty, or a text
}

// suffix is what the names of the formats end with.
const suffix = "-cert-v01@openssh.com"

// keyFields are the fields of the keys that can be certified, by their names
// without the suffix.
var keyFields = map[string]int{
	"ssh-ed25519": 1, "sk-ssh-ed25519": 2, "ecdsa-sha2-nistp256": 2, "ecdsa-sha2-nistp384": 2, "ecdsa-sha2-nistp521": 2,
	"sk-ecdsa-sha2-nistp256": 3, "ssh-rsa": 2,
}

// plainKind is the name of the certified key's own format.
func plainKind(name string) string {
	if strings.HasPrefix(name, "sk-") {
		return name + "@openssh.com"
	}
	return name
}

// Is says whether a key, as on the wire, is a certificate.
func Is(key []byte) bool {
	return strings.HasSuffix(fields.NewReader(key).Text(), suffix)
}

var errMalformed = errors.New("the certificate is malformed")

// Parse takes a certificate apart.
func Parse(blob []byte) (Certificate, error) {
	r := fields.NewReader(blob)
	name, ok := strings.CutSuffix(r.Text(), suffix)
	count := keyFields[name]
	if !ok || count == 0 {
		return Certificate{}, errMalformed
	}
	r.Blob() // the nonce
	var key fields.Writer
	key.Text(plainKind(name))
	for range count {
		key.Blob(r.Blob())
	}
	c := Certificate{Key: key.Bytes, Serial: r.U64(), kind: r.U32(), ID: r.Text()}
	principals := fields.NewReader(r.Blob())
	c.validAfter, c.validBefore = r.U64(), r.U64()
	critical, extensions := fields.NewReader(r.Blob()), fields.NewReader(r.Blob())
	r.Blob() // reserved
	c.Authority = r.Blob()
	c.signature = r.Blob()
	if r.Done() != nil {
		return Certificate{}, errMalformed
	}
	c.signed = blob[:len(blob)-4-len(c.signature)]
	for principals.More() {
		c.Principals = append(c.Principals, principals.Text())
	}
	c.critical = options(critical)
	for _, extension := range options(extensions) {
		c.NoTouch = c.NoTouch || extension.name == "no-touch-required"
	}
	if errors.Join(principals.Done(), critical.Done(), extensions.Done()) != nil {
		return Certificate{}, errMalformed
	}
	for _, o := range c.critical {
		c.Verify = c.Verify || o.name == "verify-required"
	}
	return c, nil
}

func options(r *fields.Reader) (all []option) {
	for r.More() {
		all = append(all, option{r.Text(), r.Blob()})
	}
	return all
}
