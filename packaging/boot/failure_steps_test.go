package boot_test

import (
	"fmt"
	"strings"
	"testing"
)

// failures has the verifier fail more often in a row than systemd allows by
// default. Once the cause is gone it must come back without an admin.
func (w *walk) failures(t *testing.T) {
	const program = "/usr/sbin/otpgate-verifierd"
	w.run(t, "systemctl stop "+service+" 2>&1; mv "+program+" "+program+".away")
	for range 7 {
		if output, err := w.script("systemctl start " + service); err == nil {
			t.Fatalf("started without its program: %s", output)
		}
	}
	// Its socket sees one that comes meanwhile.
	if d := w.login(t, w.alice, w.alice.code(t)); !d.In(&w.alice.Person) {
		t.Errorf("expected sshd's own core to let alice in meanwhile, found %+v\n%s", d, w.lines())
	}
	w.run(t, "mv "+program+".away "+program)
	if state := w.property(t, socket, "ActiveState"); state != "active" {
		t.Errorf("expected the socket to go on listening, found %s\n%s", state, w.lines())
		w.run(t, fmt.Sprintf("systemctl reset-failed %s %s; systemctl start %[1]s", socket, service)) // for the steps to come
	}
	w.in(t)
	w.says(t, "systemctl is-active "+service, "active")
	w.byVerifier(t)
}

// slowActivation has the verifier take longer to start than a front waits.
func (w *walk) slowActivation(t *testing.T) {
	const dropIn = "/run/systemd/system/" + service + ".d"
	w.run(t, "mkdir -p "+dropIn+` && printf '[Service]\nExecStartPre=/bin/sleep 6\n' >`+dropIn+"/slow.conf && systemctl daemon-reload && systemctl stop "+service+" 2>&1 && systemctl start "+socket)
	mark := w.mark(t)
	w.in(t)
	w.says(t, "systemctl is-active "+service, "active")
	w.run(t, "rm -r "+dropIn+" && systemctl daemon-reload")
	// The verifier goes through what waited for it in turn: after a second login
	// it has seen the first.
	w.in(t)
	if lines := w.since(t, mark, ""); strings.Contains(lines, "verdict=denied") || strings.Contains(lines, "verdict=fault") {
		t.Errorf("expected two logins and no refusal, found\n%s", lines)
	}
}
