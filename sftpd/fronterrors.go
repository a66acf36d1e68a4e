package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/otpgate/otpgate/internal/ratelimit"
)

// frontErrors is where a front's standard error goes. Ours is the service's log, where a
// front that was taken over could otherwise write any line in this one's name, and as
// many as it takes for those of others to be dropped.
type frontErrors struct {
	out  io.Writer
	now  func() time.Time
	line []byte
	rate ratelimit.Limiter
}

// The trace of a front that dies by a fault has a few hundred lines.
const (
	frontLine  = 500
	frontLines = 300
)

func newFrontErrors(out io.Writer, now func() time.Time) *frontErrors {
	return &frontErrors{out: out, now: now}
}

// Write implements [io.Writer]. It is the front's loss if a line cannot be written.
func (e *frontErrors) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part := rest[:min(len(rest), frontLine-len(e.line))]
		end := bytes.IndexByte(part, '\n')
		if end >= 0 {
			part = part[:end]
		}
		e.line, rest = append(e.line, part...), rest[len(part):]
		if end >= 0 {
			rest = rest[1:]
		}
		if end >= 0 || len(e.line) == frontLine {
			e.flush()
		}
	}
	return len(p), nil
}

func (e *frontErrors) flush() {
	if len(e.line) > 0 && e.rate.Take(e.now(), frontLines) {
		_, _ = fmt.Fprintf(e.out, "otpgate-sftpd: a front says %+q\n", e.line)
	}
	e.line = e.line[:0]
}
