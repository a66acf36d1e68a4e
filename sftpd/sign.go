package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
)

// maxExchanges bounds the key exchanges before the login. Clients need one; each
// costs the server much more than a stranger who repeats what was sent before,
// and a connection is penalized once.
const maxExchanges = 4

// exchangesPerMinute are those after the login that are not held up. Clients need one for
// each gigabyte; the time that a signature takes is that of all who log in.
const exchangesPerMinute = 60

// sign signs an exchange hash (RFC 4253 section 8): nothing of another size than
// the hashes of the key exchanges in use, and by nothing but what is offered. The
// first one is the session's id, which is how the broker knows it.
func (c *connection) sign(public []byte, algorithm string, data []byte) error {
	key, found := c.hostKey(public)
	if !found || (len(data) != 32 && len(data) != 48 && len(data) != 64) ||
		!slices.Contains(algorithms.HostKeySignatures(key.signer.PublicKey().Type()), algorithm) {
		return fields.ErrMalformed
	}
	if c.exchanges++; c.login.Entered() == nil && c.exchanges > maxExchanges {
		c.broker.turnAway(c.settings.PAMService, c.remote, admission.Refusal{Rule: admission.ByKeyExchange, Reason: fmt.Sprintf("more than %d key exchanges before the login", maxExchanges)})
		return errTurnedAway
	}
	if c.login.Entered() != nil && !c.pace.Take(c.broker.now(), exchangesPerMinute) {
		c.broker.authenticator.Pause(c.pace.Wait(exchangesPerMinute))
		c.pace.Take(c.broker.now(), exchangesPerMinute)
	}
	signature := key.sign(data, algorithm)
	if signature.Format != "" && c.sessionID == nil {
		c.sessionID, c.hostAlgorithm = append([]byte(nil), data...), algorithm
	}
	return c.toFront.Send(fields.Message(messages.AnswerSignature).Text(signature.Format).Blob(signature.Blob).Bytes)
}

// sign is the signature, the zero value if there is none.
func (k hostKey) sign(data []byte, algorithm string) ssh.Signature {
	signature, err := k.signer.SignWithAlgorithm(rand.Reader, data, algorithm)
	if err != nil {
		return ssh.Signature{}
	}
	return *signature
}

// hostKey is one of those that the front offers on this connection, which are
// those of its beginning: the client goes on with the key that it knows from
// there, whatever the files have by now.
func (c *connection) hostKey(public []byte) (hostKey, bool) {
	for _, key := range c.keys {
		if bytes.Equal(key.public, public) {
			return key, true
		}
	}
	return hostKey{}, false
}

// proveHostKey signs that the client's server has a host key, as the extension
// hostkeys-prove-00@openssh.com wants it: as often as there are keys, as a client asks
// once.
func (c *connection) proveHostKey(public []byte) error {
	key, found := c.hostKey(public)
	if !found {
		return fields.ErrMalformed
	}
	if c.proofs++; c.proofs > len(c.keys) {
		return c.toFront.Send(fields.Message(messages.AnswerSignature).Text("").Blob(nil).Bytes)
	}
	able := algorithms.HostKeySignatures(key.signer.PublicKey().Type())
	algorithm := able[0]
	if slices.Contains(able, c.hostAlgorithm) {
		// OpenSSH's client wants the one that was agreed on.
		algorithm = c.hostAlgorithm
	}
	var signed fields.Writer
	signature := key.sign(signed.Text("hostkeys-prove-00@openssh.com").Blob(c.sessionID).Blob(key.public).Bytes, algorithm)
	return c.toFront.Send(fields.Message(messages.AnswerSignature).Text(signature.Format).Blob(signature.Blob).Bytes)
}
