package doctor

import (
	"os"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// adjtime says on its third line by which time the machine's own clock goes.
const adjtime = "/etc/adjtime"

// localClock finds a machine whose own clock goes by local time.
func (e *exam) localClock() {
	text, err := os.ReadFile(e.Machine.Root + adjtime)
	if err != nil {
		return // then it goes by UTC
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 || strings.TrimSpace(lines[2]) != "LOCAL" {
		return
	}
	e.add(finding.Finding{Severity: finding.Warning, ID: "clock-local", File: adjtime, Line: 3, What: "The machine's own clock goes by local time.",
		Follows: "After the hour has changed, or with another time zone, the clock is off by hours from the start until a time service sets it: right codes are refused.",
		Fix:     "timedatectl set-local-rtc 0"})
}
