package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// restoring is the block of the document for the first member, made that of member n. There
// is no systemd here, and etcd has no user of its own.
func (h *here) restoring(block string, n int) string {
	var lines []string
	for line := range strings.Lines(block) {
		if !strings.Contains(line, "--initial-cluster ") {
			line = strings.ReplaceAll(line, "etcd1", fmt.Sprintf("etcd%d", n))
		}
		if !strings.Contains(line, "systemctl") {
			lines = append(lines, strings.ReplaceAll(line, "/var/lib/etcd/default", h.data(n)))
		}
	}
	return fmt.Sprintf("rm -rf %s\n", h.data(n)) + strings.Join(lines, "")
}

// What docs/ledger.md says of a copy of etcd does what it says: all three members begin with
// what it has, and what was used since is good again. A server that was moved since is
// denied, as etcd knows nothing of that.
func TestRestoredAsWritten(t *testing.T) {
	setUp, block := written(t, "Setting it up"), written(t, "Copies")
	h := newHere(t, setUp)
	end := h.start(t, setUp)
	variables := setUp("export ETCDCTL_API")
	h.run(t, variables)
	variables, _, _ = strings.Cut(variables, "\n")
	first, second := h.server(t, setUp, "server1"), h.server(t, setUp, "server2")
	if err := login(first.ledger(t), 1); err != nil {
		t.Fatal(err)
	}
	h.run(t, variables+"\n"+block("etcdctl snapshot save"))
	if err := login(first.ledger(t), 2); err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := second.otpctl(t, "ledger", "move", "--to", "etcd"); status != 0 {
		t.Fatalf("moved: status %d: %s", status, stderr)
	}
	end()
	for n := 1; n <= 3; n++ {
		h.run(t, h.restoring(block("systemctl stop etcd"), n))
	}
	h.start(t, setUp)
	if err := login(first.ledger(t), 1); !errors.Is(err, errUsed) {
		t.Errorf("used before the copy: %v", err)
	}
	if err := login(second.ledger(t), 2); err == nil || errors.Is(err, errUsed) || !strings.Contains(err.Error(), "restored from a copy") {
		t.Errorf("on a server that was moved since: %v", err)
	}
	if err := login(first.ledger(t), 2); err != nil {
		t.Errorf("used since: %v", err)
	}
}
