package systemd_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Mounts of its own would cost the doctor its sight, which is most of the points.
func TestDoctorServiceIsConfined(t *testing.T) { confined(t, doctorService, 6.0) }

// ownMounts are settings with which systemd gives a service mounts of its own, so
// that it sees another machine than people log in to.
var ownMounts = regexp.MustCompile(`^(Protect(System|Home|KernelTunables|KernelModules|KernelLogs|ControlGroups|Proc|Hostname)|ProcSubset|Private\w+|ReadOnlyPaths|ReadWritePaths|InaccessiblePaths|ExecPaths|NoExecPaths|TemporaryFileSystem|Bind\w+|Root\w+|DynamicUser|MountFlags|MountAPIVFS)=`)

// The doctor in the unit sees what an admin's own sees.
func TestDoctorServiceSeesTheMachine(t *testing.T) {
	text, err := os.ReadFile(doctorService)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if ownMounts.MatchString(line) {
			t.Errorf("the service would have mounts of its own by %s", line)
		}
		// Its system calls say whether the clock is right.
		if strings.HasPrefix(line, "ProtectClock=") {
			t.Errorf("the service would not see the clock by %s", line)
		}
	}
	if !ownMounts.MatchString("ProtectSystem=full") {
		t.Error("this test shows nothing")
	}
}

// Nobody is examined without having asked for it.
func TestDoctorTimerIsOff(t *testing.T) {
	root := t.TempDir()
	installUnitsBelow(t, root, "/usr")
	for unit, want := range map[string]string{doctorTimer: "disabled", doctorService: "static"} {
		output, err := exec.Command("systemctl", "--root="+root, "is-enabled", unit).CombinedOutput()
		if state := strings.TrimSpace(string(output)); state != want {
			t.Errorf("%s: expected %s, found %q, %v", unit, want, state, err)
		}
	}
	text, err := os.ReadFile(doctorTimer)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"OnBootSec=5min", "OnUnitInactiveSec=1h", "WantedBy=timers.target"} {
		if !slices.Contains(strings.Split(string(text), "\n"), line) {
			t.Errorf("expected the line %q", line)
		}
	}
}
