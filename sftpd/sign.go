package main

import (
	"crypto/rand"
	"slices"

	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// sign signs an exchange hash (RFC 4253 section 8), so nothing but the sizes
// of the hashes of the key exchanges in use, and by nothing but what is offered. The first one is the session's id, which is how the
// broker knows it.
func (v *visit) sign(index uint32, algorithm string, data []byte) error {
	v.broker.mu.Lock()
	keys := v.broker.keys
	v.broker.mu.Unlock()
	if int(index) >= len(keys) || (len(data) != 32 && len(data) != 48 && len(data) != 64) ||
		!slices.Contains(algorithms.HostKeySignatures(keys[index].signer.PublicKey().Type()), algorithm) {
		return packet.ErrMalformed
	}
	var w packet.Writer
	w.U8(talk.AnswerSignature)
	signature, err := keys[index].signer.SignWithAlgorithm(rand.Reader, data, algorithm)
	if err != nil {
		return v.line.Send(w.Text("").Text("").Bytes)
	}
	if v.sessionID == nil {
		v.sessionID = append([]byte(nil), data...)
	}
	return v.line.Send(w.Text(signature.Format).Blob(signature.Blob).Bytes)
}

// proveHostKey signs that the client's server has a host key, as the extension
// hostkeys-prove-00@openssh.com wants it.
func (v *visit) proveHostKey(index uint32) error {
	v.broker.mu.Lock()
	keys := v.broker.keys
	v.broker.mu.Unlock()
	if int(index) >= len(keys) {
		return packet.ErrMalformed
	}
	key := keys[index]
	algorithm := algorithms.HostKeySignatures(key.signer.PublicKey().Type())[0]
	var signed, w packet.Writer
	signed.Text("hostkeys-prove-00@openssh.com").Blob(v.sessionID).Blob(key.public)
	w.U8(talk.AnswerSignature)
	signature, err := key.signer.SignWithAlgorithm(rand.Reader, signed.Bytes, algorithm)
	if err != nil {
		return v.line.Send(w.Text("").Text("").Bytes)
	}
	return v.line.Send(w.Text(signature.Format).Blob(signature.Blob).Bytes)
}
