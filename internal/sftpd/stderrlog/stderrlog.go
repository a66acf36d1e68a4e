// Package stderrlog writes what fronts and workers say on standard error into the log of
// the service.
//
// The entry point is [New]. The package promises that processes that were taken over write
// no line in the service's name, and not as many as it takes for those of others to be
// dropped.
package stderrlog

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/otpgate/otpgate/internal/ratelimit"
)

// Log is where the standard error of one process goes. It is for one goroutine.
type Log struct {
	out  io.Writer
	who  string
	now  func() time.Time
	line []byte
	most *Limit
	// over says that something of the last write was over the limit.
	over  bool
	pause func(time.Duration)
}

// Limit bounds what processes say together: one that was taken over has no more for each
// that it has started again. The zero value is a whole one.
type Limit struct {
	mu   sync.Mutex
	rate ratelimit.Limiter
}

func (l *Limit) take(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate.Take(now, most)
}

// The trace of a process that dies by a fault has a few hundred lines.
const (
	longest = 500 // bytes in a line
	most    = 300 // lines in a minute
)

// New writes to out that who, "a front" say, says it, as far as the limit goes.
func New(out io.Writer, who string, now func() time.Time, limit *Limit) *Log {
	return &Log{out: out, who: who, now: now, most: limit, pause: time.Sleep}
}

// heldUp is how long a process is held up that says too much: to read it all at its pace
// would cost this one as much time as the process spends.
const heldUp = 20 * time.Millisecond

// Write implements [io.Writer]. It is the process's loss if a line cannot be written.
func (l *Log) Write(p []byte) (int, error) {
	l.over = false
	for rest := p; len(rest) > 0; {
		part := rest[:min(len(rest), longest-len(l.line))]
		end := bytes.IndexByte(part, '\n')
		if end >= 0 {
			part = part[:end]
		}
		l.line, rest = append(l.line, part...), rest[len(part):]
		if end >= 0 {
			rest = rest[1:]
		}
		if end >= 0 || len(l.line) == longest {
			l.flush()
		}
	}
	if l.over {
		l.pause(heldUp)
	}
	return len(p), nil
}

// Drain writes what can be read, until the last process that has the other end is gone, or
// reading fails, as by a deadline. It takes little memory, as there is one for each worker.
func (l *Log) Drain(from io.ReadCloser) {
	defer from.Close()
	var usual [256]byte
	for buffer := usual[:]; ; {
		n, err := from.Read(buffer)
		_, _ = l.Write(buffer[:n])
		if l.over && len(buffer) == len(usual) {
			buffer = make([]byte, 4<<10) // a long trace is not to take long to go by
		}
		if err != nil {
			l.flush()
			return
		}
	}
}

func (l *Log) flush() {
	switch {
	case len(l.line) == 0:
	case l.most.take(l.now()):
		_, _ = fmt.Fprintf(l.out, "otpgate-sftpd: %s says %+q\n", l.who, l.line)
	default:
		l.over = true
	}
	l.line = l.line[:0]
}
