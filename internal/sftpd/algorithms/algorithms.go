// Package algorithms names what the SSH server offers and takes.
//
// The lists are the entry point: [KeyExchanges], [Ciphers], [MACs], and
// [Signatures] of host keys and of users' keys. The library's own defaults are
// its choice, for clients of any age, and change with its releases. The package
// promises nothing that OpenSSH 10 refuses by default, but for one key exchange
// that says so, and it is what the front offers and what the broker looks at
// again.
package algorithms

import (
	"slices"

	"golang.org/x/crypto/ssh"
)

// KeyExchanges are offered in this order. The library adds the older name of
// Curve25519, curve25519-sha256@libssh.org.
func KeyExchanges() []string {
	return []string{
		ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
		// OpenSSH 10 has none of its kind any more, as they are slow. It is for
		// clients without elliptic curves.
		ssh.KeyExchangeDH16SHA512,
	}
}

// Ciphers are offered in this order.
func Ciphers() []string {
	return append(FastCiphers(), ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR)
}

// FastCiphers are those of Ciphers that cost the library the least.
func FastCiphers() []string { return []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM} }

// MACs are offered in this order, for the ciphers that need one.
func MACs() []string {
	return []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512, ssh.HMACSHA1}
}

// signatures are by the kind of key. What is not there is neither a host's nor a
// user's key: no DSA, and RSA not with SHA-1.
var signatures = []struct {
	kind    string
	formats []string
	host    bool
}{
	{ssh.KeyAlgoED25519, []string{ssh.KeyAlgoED25519}, true},
	{ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoECDSA256}, true},
	{ssh.KeyAlgoECDSA384, []string{ssh.KeyAlgoECDSA384}, true},
	{ssh.KeyAlgoECDSA521, []string{ssh.KeyAlgoECDSA521}, true},
	{ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}, true},
	{ssh.KeyAlgoSKED25519, []string{ssh.KeyAlgoSKED25519}, false},
	{ssh.KeyAlgoSKECDSA256, []string{ssh.KeyAlgoSKECDSA256}, false},
}

// HostKeySignatures are those that a host key of a kind makes, the best first;
// none for a kind that is no host key's.
func HostKeySignatures(kind string) []string {
	for _, s := range signatures {
		if s.kind == kind && s.host {
			return slices.Clone(s.formats)
		}
	}
	return nil
}

// Signatures are those that a user's key of a kind, or an authority's, may make;
// none for a kind that lets nobody in.
func Signatures(kind string) []string {
	for _, s := range signatures {
		if s.kind == kind {
			return slices.Clone(s.formats)
		}
	}
	return nil
}

// UserSignatures are all that users' keys may make.
func UserSignatures() []string {
	var all []string
	for _, s := range signatures {
		all = append(all, s.formats...)
	}
	return all
}

// AllHostKeySignatures are all that a server with a key of each kind could make.
func AllHostKeySignatures() []string {
	var all []string
	for _, s := range signatures {
		if s.host {
			all = append(all, s.formats...)
		}
	}
	return all
}
