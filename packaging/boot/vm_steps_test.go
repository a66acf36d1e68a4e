package boot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

// wrongClock starts the machine by a clock that is months behind, years ahead,
// and right again. alice's token does not care; carol's app does.
func (w *walk) wrongClock(t *testing.T, v *virtual) {
	secret := newOwner("carol").secret
	w.run(t, fmt.Sprintf(`useradd -m -s /bin/bash carol && echo carol:carol | chpasswd &&
		printf 'user,kind,secret,confirmed\ncarol,totp,%s,yes\n' | otpctl enroll --csv - --out /root/recovery-carol`, secret))
	carol := func(t *testing.T) bool {
		t.Helper()
		code, err := totp.GenerateCode(secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		o := newOwner("carol")
		d := w.login(t, o, code, code, code)
		w.run(t, "otpctl unlock carol")
		return d.In(&o.Person)
	}
	for _, clock := range []struct {
		off  time.Duration
		says string
	}{{-120 * 24 * time.Hour, "the machine's clock is behind"}, {3 * 365 * 24 * time.Hour, "verdict=denied"}} {
		v.clock = time.Now().Add(clock.off).UTC().Format("2006-01-02T15:04:05")
		w.off(t)
		w.up(t)
		t.Logf("the machine's clock says %s", w.run(t, "date --utc"))
		mark := w.mark(t)
		if carol(t) {
			t.Error("carol's code is of another time, and she is in")
		}
		if lines := w.since(t, mark, ""); !strings.Contains(lines, clock.says) {
			t.Errorf("expected %q in the log, found\n%s", clock.says, lines)
		}
		w.in(t)
	}
	v.clock = ""
	w.off(t)
	w.up(t)
	if !carol(t) {
		t.Errorf("the clock is right, and carol is not in\n%s", w.lines())
	}
	w.in(t)
}

// TestVMEnforcing has SELinux enforce Debian's policy, with our module.
func TestVMEnforcing(t *testing.T) {
	if !*inVM {
		t.Log("nothing is done without -vm: see make vm")
		return
	}
	v := newVirtual(t, "security=selinux", "enforcing=0")
	w := &walk{computer: v, deb: built(t)}
	w.install(t)
	// As the module's Makefile does, and for what came with the package.
	w.run(t, "dpkg -L otpgate | xargs restorecon -F; restorecon -R -F /etc /home /root /var/lib/otpgate /run/otpgate")
	v.kernel = []string{"security=selinux", "enforcing=1"}
	w.off(t)
	w.up(t)
	if mode := w.run(t, "getenforce"); mode != "Enforcing" {
		t.Fatalf("expected SELinux to enforce, found %s", mode)
	}
	t.Run("in a domain of its own", func(t *testing.T) {
		w.run(t, "systemctl enable --now "+socket+" && systemctl start "+service)
		context := w.run(t, "cat /proc/$(systemctl show --value --property=MainPID "+service+")/attr/current | tr -d '\\0'")
		if !strings.Contains(context, ":otpgate_verifierd_t:") {
			t.Errorf("found %s", context)
		}
		w.byVerifier(t)
	})
	t.Run("socket activation", w.activation)
	t.Run("failures in a row", w.failures)
	t.Run("power cut behind a login", w.powerCut)
	t.Run("denials", func(t *testing.T) {
		denials, _ := w.script("journalctl --quiet --no-pager -o cat --grep 'avc: *denied' | grep otpgate")
		if denials != "" {
			t.Errorf("the policy denied\n%s", denials)
		}
	})
}
