package serve

import (
	"context"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/wire"
)

// split answers a front that asks how much of the password is a code. Nobody
// is told anything: the password has not been checked yet.
func split(ctx context.Context, peer wire.Peer, start *wire.Start, open Opener, sink audit.Sink) error {
	engine, request, blame, err := Prepare(start, open, sink)
	if err != nil {
		gate.Refuse(sink, request, silent{}, blame, err)
		return peer.End(wire.Fault)
	}
	n, err := engine.Split(ctx, request, peer)
	switch {
	case err != nil:
		// It is in the log already, and the front may well be gone.
		_ = peer.End(wire.Fault)
		return nil
	}
	return endSplit(peer, n)
}

// endSplit says that n bytes are to be taken off the password.
func endSplit(peer wire.Peer, n int) error {
	if n == 0 {
		return peer.End(wire.Ignore)
	}
	return peer.EndSplit(n)
}

// silent is a conversation with nobody.
type silent struct{}

// Ask implements gate.Conversation.
func (silent) Ask(string) (gate.Answer, error) { return gate.Answer{}, errNoAnswer }

// Tell implements gate.Conversation.
func (silent) Tell(gate.Tone, string) {}
