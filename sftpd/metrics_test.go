package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/otpgate/otpgate/internal/audit"
)

// A front that was taken over names kinds of operations that cost nobody the figures.
func TestOperationsThatAreNone(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	for i, op := range []string{"", "\xff\x01\u2028", "x\" y", strings.Repeat("a", 1000), "Mkdir"} {
		m.event(audit.Event{Op: op, Read: uint64(i)})
	}
	m.event(audit.Event{Op: "mkdir"})
	var text strings.Builder
	if err := m.write(&text, 0, 0); err != nil {
		t.Fatal(err)
	}
	for op, times := range map[string]int{"other": 5, "mkdir": 1} {
		if line := fmt.Sprintf("\notpgate_sftp_operations_total{op=%q,result=\"ok\"} %d\n", op, times); !strings.Contains(text.String(), line) {
			t.Errorf("no %q in\n%s", line, &text)
		}
	}
}
