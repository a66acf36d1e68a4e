package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// maxExchanges bounds the key exchanges before the login. Clients need one; each
// costs the server much more than a stranger who repeats what was sent before,
// and a connection is penalized once.
const maxExchanges = 4

// sign signs an exchange hash (RFC 4253 section 8), so nothing but the sizes
// of the hashes of the key exchanges in use, and by nothing but what is offered. The first one is the session's id, which is how the
// broker knows it.
func (v *visit) sign(public []byte, algorithm string, data []byte) error {
	key, found := v.hostKey(public)
	if !found || (len(data) != 32 && len(data) != 48 && len(data) != 64) ||
		!slices.Contains(algorithms.HostKeySignatures(key.signer.PublicKey().Type()), algorithm) {
		return packet.ErrMalformed
	}
	if v.signed++; !v.in && v.signed > maxExchanges {
		v.broker.turnAway(v.settings.PAMService, v.remote, refusal{byKeyExchange, fmt.Sprintf("more than %d key exchanges before the login", maxExchanges)})
		return errTurnedAway
	}
	var w packet.Writer
	w.U8(talk.AnswerSignature)
	signature, err := key.signer.SignWithAlgorithm(rand.Reader, data, algorithm)
	if err != nil {
		return v.line.Send(w.Text("").Text("").Bytes)
	}
	if v.sessionID == nil {
		v.sessionID, v.hostAlgorithm = append([]byte(nil), data...), algorithm
	}
	return v.line.Send(w.Text(signature.Format).Blob(signature.Blob).Bytes)
}

// hostKey is one of those that the front offers on this connection, which are
// those of its beginning: the client goes on with the key that it knows from
// there, whatever the files have by now.
func (v *visit) hostKey(public []byte) (hostKey, bool) {
	for _, key := range v.keys {
		if bytes.Equal(key.public, public) {
			return key, true
		}
	}
	return hostKey{}, false
}

// proveHostKey signs that the client's server has a host key, as the extension
// hostkeys-prove-00@openssh.com wants it.
func (v *visit) proveHostKey(public []byte) error {
	key, found := v.hostKey(public)
	if !found {
		return packet.ErrMalformed
	}
	able := algorithms.HostKeySignatures(key.signer.PublicKey().Type())
	algorithm := able[0]
	if slices.Contains(able, v.hostAlgorithm) {
		// OpenSSH's client wants the one that was agreed on.
		algorithm = v.hostAlgorithm
	}
	var signed, w packet.Writer
	signed.Text("hostkeys-prove-00@openssh.com").Blob(v.sessionID).Blob(key.public)
	w.U8(talk.AnswerSignature)
	signature, err := key.signer.SignWithAlgorithm(rand.Reader, signed.Bytes, algorithm)
	if err != nil {
		return v.line.Send(w.Text("").Text("").Bytes)
	}
	return v.line.Send(w.Text(signature.Format).Blob(signature.Blob).Bytes)
}
