package main

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/packet"
)

// Rotation of host keys, see PROTOCOL of OpenSSH section 2.5: the client is
// told all keys, and has those proven that it does not know.
const (
	hostKeysTold  = "hostkeys-00@openssh.com"
	hostKeysProve = "hostkeys-prove-00@openssh.com"
)

func (v *visit) tellHostKeys(conn *ssh.ServerConn) {
	var keys packet.Writer
	for _, key := range v.settings.HostKeys {
		keys.Blob(key)
	}
	_, _, _ = conn.SendRequest(hostKeysTold, false, keys.Bytes) // the client is gone
}

// answerGlobal proves host keys and says no to everything else, keepalives
// among it, which want an answer of any kind.
func (v *visit) answerGlobal(requests <-chan *ssh.Request) {
	for request := range requests {
		if request.Type == hostKeysProve && request.WantReply {
			proofs, ok := v.proveHostKeys(request.Payload)
			_ = request.Reply(ok, proofs) // the client is gone
			continue
		}
		if request.WantReply {
			_ = request.Reply(false, nil)
		}
	}
}

func (v *visit) proveHostKeys(wanted []byte) ([]byte, bool) {
	var proofs packet.Writer
	r := packet.NewReader(wanted)
	for range v.settings.HostKeys {
		key := r.Blob()
		if key == nil {
			return nil, false
		}
		if !slices.ContainsFunc(v.settings.HostKeys, func(own []byte) bool { return bytes.Equal(own, key) }) {
			return nil, false
		}
		proof, err := v.line.hostKey(key)
		if err != nil {
			return nil, false
		}
		proofs.Blob(ssh.Marshal(proof))
		if r.Done() == nil {
			return proofs.Bytes, true
		}
	}
	return nil, false
}
