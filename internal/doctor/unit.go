package doctor

import "os"

// enable is how a unit of systemd is started now and at each boot. One that is
// masked cannot be, until it no longer is.
func (e *exam) enable(unit string) string {
	return e.unmask(unit) + "systemctl enable --now " + unit
}

// restart is how the verifier is started again.
func (e *exam) restart() string {
	return e.unmask("otpgate-verifierd.socket") + "systemctl restart otpgate-verifierd.socket otpgate-verifierd"
}

// unmask is what goes before the command of a unit.
func (e *exam) unmask(unit string) string {
	for _, dir := range []string{"/etc/systemd/system/", "/run/systemd/system/"} {
		if to, err := os.Readlink(e.Machine.Root + dir + unit); err == nil && to == "/dev/null" {
			return "The unit is masked: systemctl unmask " + unit + " && "
		}
	}
	return ""
}
