package sftp

import (
	"context"
	"errors"
)

// Options are what a session may differ in. The zero value is a session
// without limits and audit.
type Options struct {
	// LargeReplies is for clients known to take packets of 256 KiB of every
	// kind; it need not be set for those that ask for limits@openssh.com. Other
	// clients get directory pages of at most 32 KiB.
	LargeReplies bool
	// LinkFirst is for clients that name the link before its target in SYMLINK,
	// as the draft says, where the others do as OpenSSH.
	LinkFirst bool
	// Handles bounds the files and directories open at once; 0 is 1,000.
	Handles int
	// Opening is called before a file or directory is opened, and says whether
	// it may be; Closed is called for each that was, or could not be opened then.
	Opening func(dir bool) bool
	Closed  func(dir bool)
	// Limit is called before n bytes of file data are read or written, and
	// returns when they may be. Its error ends the session.
	Limit func(ctx context.Context, n int, upload bool) error
	// Copying is called before each part of a copy within the server, some
	// megabytes that cost the peer one small request, and returns when it may
	// begin. release is called at its end. An error ends the session.
	Copying func(ctx context.Context) (release func(), err error)
	// Audit is called after every transfer and change, from the goroutine that
	// called Serve.
	Audit func(Event)
	// Busy is called with true when a request has come, and with false when all
	// were answered and the session waits for the next. open is the number of
	// files open for a transfer. It is for idle timeouts and for draining.
	Busy func(busy bool, open int)
}

// Event is a transfer that ended or a change that was tried.
type Event struct {
	// Op is "open" (refused), "transfer" (closed), "mkdir", "rmdir", "remove",
	// "rename", "link", "symlink", "setstat" or "copy".
	Op string
	// Path is the path as the peer sent it, and for a transfer the real one.
	// Target is the other path of a rename or link. Bytes of any value.
	Path, Target string
	// Read and Written are bytes of file data that went to and came from the
	// peer in this transfer.
	Read, Written uint64
	// Err is nil, or why a change failed. Of a transfer it is the last error of
	// a read or write, or ErrUnfinished.
	Err error
}

// ErrUnfinished is of a transfer whose file the peer had not closed when the
// session ended.
var ErrUnfinished = errors.New("the session ended before the file was closed")
