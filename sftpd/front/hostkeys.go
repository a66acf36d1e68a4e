package main

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
)

// Rotation of host keys, see PROTOCOL of OpenSSH section 2.5: the client is
// told all keys, and has those proven that it does not know.
const (
	hostKeysTold  = "hostkeys-00@openssh.com"
	hostKeysProve = "hostkeys-prove-00@openssh.com"
)

func (c *connection) tellHostKeys(conn *ssh.ServerConn) {
	var keys fields.Writer
	for _, key := range c.settings.HostKeys {
		keys.Blob(key)
	}
	_, _, _ = conn.SendRequest(hostKeysTold, false, keys.Bytes) // the client is gone
}

// answerGlobal proves host keys and says no to everything else, keepalives
// among it, which want an answer of any kind.
func (c *connection) answerGlobal(requests <-chan *ssh.Request) {
	for request := range requests {
		if request.Type == hostKeysProve && request.WantReply {
			proofs, ok := c.proveHostKeys(request.Payload)
			_ = request.Reply(ok, proofs) // the client is gone
			continue
		}
		if request.WantReply {
			_ = request.Reply(false, nil)
		}
	}
}

// proveHostKeys is asked once by a client that does not know some; to ask again and again
// would cost the broker time.
func (c *connection) proveHostKeys(wanted []byte) ([]byte, bool) {
	if c.rotated {
		return nil, false
	}
	c.rotated = true
	var proofs fields.Writer
	r := fields.NewReader(wanted)
	for range c.settings.HostKeys {
		key := r.Blob()
		if key == nil {
			return nil, false
		}
		if !slices.ContainsFunc(c.settings.HostKeys, func(own []byte) bool { return bytes.Equal(own, key) }) {
			return nil, false
		}
		proof, err := c.broker.hostKey(key)
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
