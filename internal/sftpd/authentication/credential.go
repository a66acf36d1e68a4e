package authentication

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftpd/authkeys"
	"github.com/otpgate/otpgate/internal/sftpd/usercert"
)

// credential is a public key that lets a person in once it is proven, by itself
// or by an authority's certificate.
type credential struct {
	key     []byte // to be proven, as on the wire
	grant   authkeys.Grant
	cert    usercert.Certificate
	hasCert bool
}

// admit says whether a key, or a certificate, as it was offered may let the
// person in. Nothing is proven by that.
func (l *Login) admit(offered []byte) (credential, bool) {
	if l.person == nil {
		return credential{}, false
	}
	cred := credential{key: offered, hasCert: usercert.Is(offered)}
	if cred.hasCert {
		var err error
		if cred.cert, err = usercert.Parse(offered); err != nil {
			return credential{}, false
		}
		cred.key = cred.cert.Key
	}
	if l.revoked(cred) {
		return credential{}, false
	}
	var found bool
	if cred.hasCert {
		cred.grant, found = l.certified(cred.cert, offered)
	} else {
		cred.grant, found = l.look(authkeys.Login{Key: offered}, offered)
	}
	return cred, found
}

// certified says whether the authority of a certificate is trusted to let the
// person in, and whether the certificate does so.
func (l *Login) certified(cert usercert.Certificate, offered []byte) (authkeys.Grant, bool) {
	grant := authkeys.Grant{NoTouch: cert.NoTouch, Verify: cert.Verify}
	if !l.trusts(cert) {
		line, found := l.look(authkeys.Login{Key: cert.Authority, Authority: true, User: l.user, Principals: cert.Principals}, offered)
		if !found {
			return authkeys.Grant{}, false
		}
		grant = authkeys.Grant{NoTouch: grant.NoTouch && line.NoTouch, Verify: grant.Verify || line.Verify}
	}
	if err := cert.Check(l.remote, l.shared.Now()); err != nil {
		l.refuseKey("certificate", fmt.Sprintf("%s: %v", describe(cert), err))
		return authkeys.Grant{}, false
	}
	return grant, true
}

// trusts says whether root's file has the authority and the certificate names
// the person.
func (l *Login) trusts(cert usercert.Certificate) bool {
	path := l.settings.TrustedUserCAKeys
	if path == "" {
		return false
	}
	authorities, err := readKeys(path)
	if err != nil {
		l.Fault("sftp.trusted_user_ca_keys", err)
		return false
	}
	if !slices.ContainsFunc(authorities, func(key []byte) bool { return bytes.Equal(key, cert.Authority) }) {
		return false
	}
	if !slices.Contains(cert.Principals, l.user) {
		l.refuseKey("certificate", fmt.Sprintf("%s: it names %.200q, not the user", describe(cert), cert.Principals))
		return false
	}
	return true
}

// revoked says whether root's file has the key, or the authority that signed
// for it. A file that cannot be read revokes all.
func (l *Login) revoked(cred credential) bool {
	path := l.settings.RevokedKeys
	if path == "" {
		return false
	}
	keys, err := readKeys(path)
	if err != nil {
		l.Fault("sftp.revoked_keys", err)
		return true
	}
	for _, key := range keys {
		switch {
		case bytes.Equal(key, cred.key):
			l.refuseKey("sftp.revoked_keys", "the key "+fingerprint(key)+" is revoked")
			return true
		case cred.hasCert && bytes.Equal(key, cred.cert.Authority):
			l.refuseKey("sftp.revoked_keys", "the authority "+fingerprint(key)+" is revoked")
			return true
		}
	}
	return false
}

// describe names a certificate as its authority's books do.
func describe(cert usercert.Certificate) string {
	return fmt.Sprintf("certificate %.100q, serial %d, of %s", cert.ID, cert.Serial, fingerprint(cert.Authority))
}

// fingerprint is as ssh-keygen -l shows it.
func fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// maxKeys bounds a file of keys.
const maxKeys = 4 << 20

// readKeys reads a file of public keys that only root can have written.
func readKeys(path string) ([][]byte, error) {
	text, err := safefile.Read(path, safefile.Rules{Forbidden: 0o022, MaxSize: maxKeys})
	if err != nil {
		return nil, err
	}
	keys, err := usercert.List(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// CheckKeyFiles tells the admin of a file that will let nobody in.
func CheckKeyFiles(settings config.SFTP, report func(rule string, err error)) {
	for _, file := range []struct{ rule, path string }{
		{"sftp.trusted_user_ca_keys", settings.TrustedUserCAKeys}, {"sftp.revoked_keys", settings.RevokedKeys},
	} {
		if file.path == "" {
			continue
		}
		if _, err := readKeys(file.path); err != nil {
			report(file.rule, err)
		}
	}
	if len(settings.KeysCommand) > 0 {
		if _, err := commandUser(settings); err != nil {
			report(commandRule, err)
		}
	}
}
