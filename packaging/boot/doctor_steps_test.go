package boot_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const (
	doctorService = "otpgate-doctor.service"
	doctorTimer   = "otpgate-doctor.timer"
	// figures is where the service leaves them.
	figures = "/var/lib/otpgate-doctor/doctor.prom"
)

// door makes a package whose service lets everybody in with the password alone,
// past the line that asks for codes.
const door = `rm -rf /root/door && mkdir -p /root/door/DEBIAN /root/door/etc/pam.d
printf 'Package: door\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: a door\n' >/root/door/DEBIAN/control
printf 'auth sufficient pam_unix.so\nauth required pam_otpgate.so\naccount required pam_unix.so\n' >/root/door/etc/pam.d/door
dpkg-deb --build /root/door /root/door.deb`

// soon has the timer begin when it is started, as on a machine that has been up for
// long.
const soon = `mkdir -p /etc/systemd/system/otpgate-doctor.timer.d
printf '[Timer]\nOnBootSec=\nOnBootSec=1ms\nOnUnitInactiveSec=1h\n' >/etc/systemd/system/otpgate-doctor.timer.d/soon.conf
systemctl daemon-reload`

// doctor has the doctor look by itself: every hour once that is asked for, and
// behind packages that change pam.d. What it finds is one line of the log, a
// failed unit and figures, and all three say when it is mended.
func (w *walk) doctor(t *testing.T) {
	w.run(t, door)
	// Nobody has asked for it yet.
	mark := w.mark(t)
	w.run(t, "dpkg -i /root/door.deb && dpkg -P door")
	if jobs := w.run(t, "systemctl list-jobs --no-legend 'otpgate-doctor*'"); jobs != "" || w.property(t, doctorService, "ExecMainStartTimestampMonotonic") != "0" {
		t.Errorf("the doctor was started though its timer is off: %q\n%s", jobs, w.since(t, mark, ""))
	}

	w.excuseAll(t)
	mark = w.mark(t)
	w.run(t, soon)
	w.run(t, "systemctl enable --now "+doctorTimer)
	w.examined(t, mark, 1, "doctor.nothing-wrong")
	w.says(t, "systemctl show --value --property=Result "+doctorService, "success")
	w.sameFigures(t)

	mark = w.mark(t)
	w.run(t, "dpkg -i /root/door.deb")
	w.examined(t, mark, 1, "doctor.errors", "code-never-asked")
	w.says(t, "systemctl is-failed "+doctorService, "failed")
	w.sameFigures(t)
	w.says(t, "grep -c '^otpgate_doctor_finding{severity=\"error\",id=\"code-never-asked\"} 1$' "+figures, "1")

	mark = w.mark(t)
	w.run(t, "dpkg -P door")
	w.examined(t, mark, 1, "doctor.nothing-wrong")
	w.says(t, "systemctl is-failed "+doctorService, "inactive")
	w.says(t, "grep '^otpgate_doctor_findings{severity=\"error\"}' "+figures, `otpgate_doctor_findings{severity="error"} 0`)

	w.odd(t)
	w.doctorCannotStart(t)
	w.run(t, "systemctl disable --now "+doctorTimer+" && rm -r /etc/otpgate/doctor.toml /etc/systemd/system/otpgate-doctor.timer.d && systemctl daemon-reload")
}

// excuseAll excuses whatever a machine of the tests has beside the point, such as
// a clock that is nobody's to keep.
func (w *walk) excuseAll(t *testing.T) {
	t.Helper()
	var said struct {
		Findings []struct {
			Severity, ID string
			Services     []string
		}
	}
	text := w.run(t, "otpctl doctor --json || test $? = 3")
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var excuses strings.Builder
	for _, f := range said.Findings {
		if f.Severity == "note" {
			continue
		}
		if len(f.Services) == 0 {
			f.Services = []string{""}
		}
		for _, service := range f.Services {
			fmt.Fprintf(&excuses, "[[excuse]]\nid = %q\nreason = \"a machine of the tests\"\n", f.ID)
			if service != "" {
				fmt.Fprintf(&excuses, "service = %q\n", service)
			}
		}
	}
	w.run(t, fmt.Sprintf("cat >/etc/otpgate/doctor.toml <<'END'\n%sEND", excuses.String()))
}

// examined waits for the doctor's line, and expects so many of them since mark,
// the last of which has these texts.
func (w *walk) examined(t *testing.T, mark string, n int, texts ...string) {
	t.Helper()
	var lines []string
	until(t, w, "the doctor has ended", func() bool {
		lines = nil
		// Of any unit: the journal does not know it of a process that has ended by
		// the time that its line is read.
		for line := range strings.Lines(w.since(t, mark, "")) {
			if strings.Contains(line, "verdict=examined") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		state := w.property(t, doctorService, "ActiveState")
		return len(lines) >= n && (state == "inactive" || state == "failed")
	})
	for _, text := range texts {
		if len(lines) != n || !strings.Contains(lines[len(lines)-1], text) {
			t.Errorf("expected %d lines and %s in the last, found\n%s", n, text, strings.Join(lines, "\n"))
		}
	}
}

// sameFigures expects that the service, under its hardening, has seen what root sees.
func (w *walk) sameFigures(t *testing.T) {
	t.Helper()
	w.run(t, "otpctl doctor --metrics /root/figures >/dev/null || test $? = 4")
	const counts = "grep -v timestamp "
	if own, seen := w.run(t, counts+"/root/figures"), w.run(t, counts+figures); own != seen {
		t.Errorf("root's own doctor counts\n%s\nand the service's\n%s", own, seen)
	}
	w.says(t, "stat -c '%a %U' "+figures, "644 root")
}

// odd is what the service could be blind to by its hardening: a daemon that only its
// process tells of, and an sshd that wants a directory below /run.
func (w *walk) odd(t *testing.T) {
	t.Helper()
	w.run(t, "/usr/sbin/sshd -p 2299 -o UsePAM=no -o PidFile=/run/odd.pid")
	w.says(t, "test -s /run/odd.pid && echo it listens", "it listens")
	w.run(t, "mv /run/sshd /run/sshd.away")
	mark := w.mark(t)
	w.run(t, "systemctl start "+doctorService+" || test $? = 1")
	w.examined(t, mark, 1, "doctor.errors", "sshd-without-pam")
	w.sameFigures(t)
	w.run(t, "mv /run/sshd.away /run/sshd && kill $(cat /run/odd.pid) && systemctl reset-failed "+doctorService)
}

// doctorCannotStart expects that dpkg goes on where nobody can start the doctor.
func (w *walk) doctorCannotStart(t *testing.T) {
	t.Helper()
	w.run(t, "systemctl mask --runtime "+doctorService)
	w.run(t, "dpkg -i /root/door.deb && dpkg -P door")
	w.says(t, "dpkg-query -W -f '${db:Status-Status}' otpgate", "installed")
	w.run(t, "systemctl unmask --runtime "+doctorService)
}
