package pinned

import (
	"crypto/tls"
	"errors"
	"net"
)

// IsRefusal says whether an error is the other side's word that it does not go on, as it
// says of a key that it does not know.
func IsRefusal(err error) bool {
	var alert tls.AlertError
	var remote *net.OpError
	return errors.As(err, &alert) || errors.As(err, &remote) && remote.Op == "remote error"
}

// Shorter leaves the addresses out of an error about a connection: one of them differs
// each time, and the other stands before the error already.
func Shorter(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}
