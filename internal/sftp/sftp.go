// Package sftp is the server side of SFTP version 3
// (draft-ietf-secsh-filexfer-02) with the extensions of OpenSSH's sftp-server.
package sftp

import (
	"context"
	"errors"
	"io"
)

// Serve answers the requests on channel until it ends, the context does, or
// the peer breaks the framing. A channel that ended between packets is no
// error. The caller closes channel, also to end Serve early.
func Serve(ctx context.Context, channel io.ReadWriter, files Files, options Options) error {
	return errors.New("sftp: not written yet")
}
