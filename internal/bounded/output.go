// Package bounded keeps what another program writes, up to a size.
//
// The entry point is [Output]. It promises that no program takes more memory by
// what it writes than was meant for that.
package bounded

import (
	"bytes"
	"fmt"
)

// Output is an io.Writer that keeps Most bytes at most. What is more is an error,
// by which a program that goes on writing ends. The buffer is no embedded one: it
// would take everything by its ReadFrom.
type Output struct {
	Most int
	// Discard has what is more discarded, without an error.
	Discard bool

	kept      bytes.Buffer
	truncated bool
}

// Write keeps what there is room for.
func (o *Output) Write(data []byte) (int, error) {
	part := data[:min(len(data), o.Most-o.kept.Len())]
	o.kept.Write(part)
	if len(part) == len(data) {
		return len(data), nil
	}
	o.truncated = true
	if o.Discard {
		return len(data), nil
	}
	return len(part), fmt.Errorf("over %d bytes", o.Most)
}

// Bytes are those that were kept.
func (o *Output) Bytes() []byte { return o.kept.Bytes() }

// Truncated says whether there was more.
func (o *Output) Truncated() bool { return o.truncated }
