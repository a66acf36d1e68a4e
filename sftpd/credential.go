package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/audit"
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
func (v *visit) admit(offered []byte) (credential, bool) {
	if v.person == nil {
		return credential{}, false
	}
	c := credential{key: offered, hasCert: usercert.Is(offered)}
	if c.hasCert {
		var err error
		if c.cert, err = usercert.Parse(offered); err != nil {
			return credential{}, false
		}
		c.key = c.cert.Key
	}
	if v.revoked(c) {
		return credential{}, false
	}
	var found bool
	if c.hasCert {
		c.grant, found = v.vouched(c.cert, offered)
	} else {
		c.grant, found = v.look(authkeys.Login{Key: offered}, offered)
	}
	return c, found
}

// vouched says whether the authority of a certificate is trusted to let the
// person in, and whether the certificate does so.
func (v *visit) vouched(cert usercert.Certificate, offered []byte) (authkeys.Grant, bool) {
	grant := authkeys.Grant{NoTouch: cert.NoTouch, Verify: cert.Verify}
	if !v.trusts(cert) {
		line, found := v.look(authkeys.Login{Key: cert.Authority, Authority: true, User: v.user, Principals: cert.Principals}, offered)
		if !found {
			return authkeys.Grant{}, false
		}
		grant = authkeys.Grant{NoTouch: grant.NoTouch && line.NoTouch, Verify: grant.Verify || line.Verify}
	}
	if err := cert.Check(v.remote, v.engine.Now()); err != nil {
		v.refuseKey("certificate", fmt.Sprintf("%s: %v", describe(cert), err))
		return authkeys.Grant{}, false
	}
	return grant, true
}

// trusts says whether root's file has the authority and the certificate names
// the person.
func (v *visit) trusts(cert usercert.Certificate) bool {
	path := v.settings.TrustedUserCAKeys
	if path == "" {
		return false
	}
	authorities, err := readKeys(path)
	if err != nil {
		v.broker.reportFor(v, "sftp.trusted_user_ca_keys", err)
		return false
	}
	if !slices.ContainsFunc(authorities, func(key []byte) bool { return bytes.Equal(key, cert.Authority) }) {
		return false
	}
	if !slices.Contains(cert.Principals, v.user) {
		v.refuseKey("certificate", fmt.Sprintf("%s: it names %.200q, not the user", describe(cert), cert.Principals))
		return false
	}
	return true
}

// revoked says whether root's file has the key, or the authority that signed
// for it. A file that cannot be read revokes all.
func (v *visit) revoked(c credential) bool {
	path := v.settings.RevokedKeys
	if path == "" {
		return false
	}
	keys, err := readKeys(path)
	if err != nil {
		v.broker.reportFor(v, "sftp.revoked_keys", err)
		return true
	}
	for _, key := range keys {
		switch {
		case bytes.Equal(key, c.key):
			v.refuseKey("sftp.revoked_keys", "the key "+fingerprint(key)+" is revoked")
			return true
		case c.hasCert && bytes.Equal(key, c.cert.Authority):
			v.refuseKey("sftp.revoked_keys", "the authority "+fingerprint(key)+" is revoked")
			return true
		}
	}
	return false
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

// checkKeyFiles tells the admin of a file that will let nobody in.
func (b *broker) checkKeyFiles() {
	settings := b.settings().SFTP
	for _, file := range []struct{ rule, path string }{
		{"sftp.trusted_user_ca_keys", settings.TrustedUserCAKeys}, {"sftp.revoked_keys", settings.RevokedKeys},
	} {
		if file.path == "" {
			continue
		}
		if _, err := readKeys(file.path); err != nil {
			b.report(file.rule, err)
		}
	}
	if len(settings.KeysCommand) > 0 {
		if _, err := commandUser(settings); err != nil {
			b.report(commandRule, err)
		}
	}
}

// refuseKey notes why a key that is known is not taken.
func (v *visit) refuseKey(rule, reason string) { v.remark("denied", rule, reason) }

// remark writes a line about the login.
func (v *visit) remark(verdict, rule, reason string) {
	v.broker.log.Write(audit.Record{User: v.user, Service: v.settings.PAMService, Protocol: "sftp", Remote: v.remote.String(),
		Verdict: verdict, Rule: rule, Reason: reason})
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
