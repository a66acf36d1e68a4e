package boot_test

import (
	"strings"
	"testing"
)

// unitsStart starts all units under their hardening, which is in force.
func (w *walk) unitsStart(t *testing.T) {
	w.run(t, "systemctl enable --now "+socket+" && systemctl start "+service+" && systemctl enable --now otpgate-sftpd.service")
	for unit, lines := range map[string][]string{
		service:                 {"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"},
		"otpgate-sftpd.service": {"NoNewPrivs:\t1", "Seccomp:\t2"},
	} {
		w.says(t, "systemctl is-active "+unit, "active")
		status := w.run(t, "cat /proc/$(systemctl show --value --property=MainPID "+unit+")/status")
		for _, line := range lines {
			if !strings.Contains(status, line) {
				t.Errorf("%s: expected %q, found\n%s", unit, line, status)
			}
		}
		if restarts := w.property(t, unit, "NRestarts"); restarts != "0" {
			t.Errorf("%s was started again %s times\n%s", unit, restarts, w.lines())
		}
	}
	w.byVerifier(t)
	w.transfer(t)
}

// activation has a login start the verifier. On a busy machine that takes longer
// than the login's front waits for it; then the verifier decides the next one.
func (w *walk) activation(t *testing.T) {
	w.run(t, "systemctl stop "+service+" 2>&1 && systemctl start "+socket)
	w.says(t, "systemctl is-active "+service, "inactive")
	w.in(t)
	w.says(t, "systemctl is-active "+service, "active")
	w.byVerifier(t)
}

// reload keeps the processes, and takes the new configuration.
func (w *walk) reload(t *testing.T) {
	for _, unit := range []string{service, "otpgate-sftpd.service"} {
		before := w.property(t, unit, "MainPID")
		w.run(t, "systemctl reload "+unit)
		if after := w.property(t, unit, "MainPID"); after != before || after == "0" {
			t.Errorf("%s: the reload made process %s out of %s", unit, after, before)
		}
	}
	w.byVerifier(t)
	w.transfer(t)
}
