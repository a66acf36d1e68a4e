package main

import (
	"bufio"
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/gate/gatetest"
	"github.com/otpgate/otpgate/internal/ledger"
	"github.com/otpgate/otpgate/internal/wire"
)

// asked is a ledger that notes what the front had been told when it was asked.
type asked struct {
	gatetest.FailingLedger
	told *bytes.Buffer
	when []string
}

func (a *asked) ViewAhead(context.Context, ...ledger.Key) func(int) (ledger.Entry, error) {
	a.when = append(a.when, a.told.String())
	return func(int) (ledger.Entry, error) { return ledger.Entry{}, nil }
}

// Before a ledger is asked that is far away the front is told that its login is taken: it
// would turn to a core of its own, if the ledger took long. One in files is not worth the
// message.
func TestReadyBeforeADistantLedger(t *testing.T) {
	for elsewhere, want := range map[bool]string{true: string([]byte{wire.Ready}), false: ""} {
		var told bytes.Buffer
		below := &asked{told: &told}
		s := &stream{out: &told, in: bufio.NewReader(strings.NewReader("")), owed: true}
		view := ledger.Views(t.Context(), announcedLedger{below, s, elsewhere}, ledger.UserKey("ann"))
		if _, err := view(0); err != nil {
			t.Error(err)
		}
		if len(below.when) != 1 || below.when[0] != want {
			t.Errorf("elsewhere %v: asked when the front had been told %q, expected once, after %q", elsewhere, below.when, want)
		}
	}
}
