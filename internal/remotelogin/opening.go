package remotelogin

import (
	"context"
	"errors"
)

// How many connections to one server are opened at once, and how many of them for logins
// that anybody can begin. A gateway lets 64 connections of an address be at their
// handshake, also where several clients share one, and one more ends the oldest of them:
// many logins at the same moment would end each other's.
const (
	mostOpening         = 16
	unprivilegedOpening = 8
)

// opening are the connections to one server that it has answered nothing on yet.
type opening struct {
	all, unprivileged chan struct{}
}

func newOpening() opening {
	return opening{all: make(chan struct{}, mostOpening), unprivileged: make(chan struct{}, unprivilegedOpening)}
}

var errOthersWait = errors.New("other logins waited for it until it was too late")

// begin waits until one more may be opened. end is to be called when the server has
// answered, and so has noticed the end of the handshake, or when there is none.
func (o opening) begin(ctx context.Context, unprivileged bool) (end func(), err error) {
	if unprivileged {
		if err := enter(ctx, o.unprivileged); err != nil {
			return nil, err
		}
	}
	if err := enter(ctx, o.all); err != nil {
		if unprivileged {
			<-o.unprivileged
		}
		return nil, err
	}
	return func() {
		<-o.all
		if unprivileged {
			<-o.unprivileged
		}
	}, nil
}

func enter(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		if ctx.Err() == nil {
			return nil
		}
		<-slots
	case <-ctx.Done():
	}
	return errOthersWait
}
