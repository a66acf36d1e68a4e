package console

import (
	"path"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// stores are where systemd takes credentials from for the units that name them.
var stores = []string{"/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore", "/etc/credstore.encrypted", "/run/credstore.encrypted"}

// credentials finds those by which agetty logs somebody in, and login asks for
// nothing.
func (e *exam) credentials() {
	for _, dir := range stores {
		for _, file := range e.Machine.Glob(dir + "/*") {
			place := pamstack.Position{File: file}
			text, _ := target.Read(e.Machine.Root, file) // one that is encrypted does not tell
			value := strings.TrimSpace(string(text))
			switch name := strings.TrimSuffix(path.Base(file), ".cred"); {
			case name == "agetty.autologin" && strings.HasSuffix(dir, ".encrypted"):
				e.loggedIn(place, "login", "agetty, by a credential,", "somebody", "Remove "+file+".")
			case name == "agetty.autologin" && value != "":
				e.loggedIn(place, "login", "agetty, by a credential,", value, "Remove "+file+".")
			case name == "login.noauth" && (isYes(value) || strings.HasSuffix(dir, ".encrypted")):
				e.rootShell(place, "By a credential login asks nobody for anything.", "Whoever is at the console, or at the serial line, is whom he likes with neither password nor code.", "Remove "+file+".")
			}
		}
	}
}
