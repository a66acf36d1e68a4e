package main

import (
	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/remotewire"
	"github.com/otpgate/otpgate/internal/wire"
)

// ruleSink is the log of a login of which whoever asked is told the rule: a client, for
// its own log, and the SFTP server. It notes by which rule the line about the decision
// says that it was made.
type ruleSink struct {
	audit.Sink
	rule *string
}

// Write implements [audit.Sink].
func (r ruleSink) Write(record audit.Record) {
	switch record.Verdict {
	case gate.Accept.String(), gate.NotAsked.String(), gate.Deny.String(), gate.Fault.String():
		*r.rule = record.Rule
	}
	r.Sink.Write(record)
}

// verdictStream sends that rule ahead of the verdict, as remotewire has it.
type verdictStream struct {
	*stream
	rule *string
}

// Write implements [io.Writer]. A frame comes in one piece.
func (v verdictStream) Write(frame []byte) (int, error) {
	if len(frame) > 0 && wire.Type(frame[0]) == wire.TypeVerdict && *v.rule != "" {
		if err := remotewire.WriteRule(v.stream, *v.rule); err != nil {
			return 0, err
		}
	}
	return v.stream.Write(frame)
}
