package main

import (
	"bytes"

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

// Write implements [io.Writer]. A frame comes in one piece, and goes in one with the
// rule: whoever waits for the verdict would be woken for that.
func (v verdictStream) Write(frame []byte) (int, error) {
	if len(frame) == 0 || wire.Type(frame[0]) != wire.TypeVerdict || *v.rule == "" {
		return v.stream.Write(frame)
	}
	var both bytes.Buffer
	if err := remotewire.WriteRule(&both, *v.rule); err != nil {
		return 0, err
	}
	ahead := both.Len()
	both.Write(frame)
	n, err := v.stream.Write(both.Bytes())
	return max(0, n-ahead), err
}
