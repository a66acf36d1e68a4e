package etcdledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// errNoAnswer is what casledger resolves.
var errNoAnswer = casledger.ErrUnavailable

var errLate = errors.New("no answer in time")

// noAnswer is an error after which it is not known whether a change took place. Its
// own text is left out: it is said once for all members.
type noAnswer struct{ reason error }

func (n noAnswer) Error() string        { return n.reason.Error() }
func (n noAnswer) Unwrap() error        { return n.reason }
func (n noAnswer) Is(target error) bool { return target == errNoAnswer }

// explained are refusals, and what an admin can do.
var explained = []struct {
	err    error
	advice string
}{
	{rpctypes.ErrNoSpace, "etcd is full and takes no changes: free space by etcdctl compact and etcdctl defrag, then etcdctl alarm disarm"},
	{rpctypes.ErrCorrupt, "etcd found its data damaged on a member: see etcdctl alarm list"},
	{rpctypes.ErrPermissionDenied, "this machine's user in etcd, the common name in its certificate, may not read and write the prefix: see etcdctl user get and etcdctl role get"},
	{rpctypes.ErrUserEmpty, "etcd knows no user by the common name of this machine's certificate, or the certificate has none: see etcdctl user list"},
}

// waiting are what etcd answers while it cannot say yes or no, with what it means.
var waiting = []struct {
	err     error
	meaning string
}{
	{rpctypes.ErrNoLeader, "it has no leader: it reaches fewer than half of the members"},
	{rpctypes.ErrTimeout, "it reaches fewer than half of the members, or they are slow"},
	{rpctypes.ErrTimeoutDueToLeaderFail, "the leader is gone"},
	{rpctypes.ErrTimeoutDueToConnectionLost, "it lost the others"},
	{rpctypes.ErrTooManyRequests, "it has too much to do"},
	{rpctypes.ErrAuthOldRevision, "its users and roles changed meanwhile"},
}

// classify tells lost answers from refusals.
func classify(err error) error {
	if err == nil {
		return nil
	}
	err = rpctypes.Error(err)
	for _, one := range waiting {
		if errors.Is(err, one.err) {
			return noAnswer{errors.New(one.meaning)}
		}
	}
	for _, one := range explained {
		if errors.Is(err, one.err) {
			return fmt.Errorf("%s (etcd: %w)", one.advice, err)
		}
	}
	switch code := codeOf(err); code {
	case codes.DeadlineExceeded, codes.Canceled:
		return noAnswer{errLate}
	case codes.Unavailable, codes.Unknown, codes.Internal, codes.Aborted:
		return noAnswer{errors.New(textOf(err))}
	}
	return err
}

func codeOf(err error) codes.Code {
	if own, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return own.Code()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return codes.DeadlineExceeded
	}
	return status.Code(err)
}

// closed are what is seen of a connection that a member closed. In TLS 1.3 a client has
// shaken hands before its certificate is looked at, and may find the connection closed
// before it reads why.
var closed = []string{"broken pipe", "connection reset", "EOF", "remote error: tls"}

// textOf leaves out what gRPC puts around what went wrong.
func textOf(err error) string {
	s, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	text := strings.TrimPrefix(s.Message(), "last connection error: ")
	if inner, found := strings.CutPrefix(text, `connection error: desc = "`); found {
		text = strings.TrimSuffix(inner, `"`)
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "transport: "), "Error while dialing: ")
	for _, end := range closed {
		if strings.Contains(text, end) {
			return text + " (it is gone, or does not take this machine's certificate)"
		}
	}
	return text
}

func isLeaseGone(err error) bool { return errors.Is(err, rpctypes.ErrLeaseNotFound) }
