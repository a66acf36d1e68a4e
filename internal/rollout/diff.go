package rollout

import (
	"bytes"
	"cmp"

	"github.com/rogpeppe/go-internal/diff"
)

// Diff shows the change as patch(1) takes it, "" if there is none.
func (e Edit) Diff() string {
	text := diff.Diff(cmp.Or(e.From, e.Path), []byte(e.Before), e.Path, []byte(e.After))
	// Its first line is the command that would have made it.
	_, text, _ = bytes.Cut(text, []byte("\n"))
	return string(text)
}
