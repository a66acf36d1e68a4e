package console

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// manager is a display manager that can log somebody in by itself.
type manager struct {
	name, service string
	// files are patterns of its configuration; of two lines of a key the last counts.
	files []string
	// section, key and on are where the name stands and what else has to be set, as
	// "" for nothing. A section that ends with * is a prefix.
	section, key, on string
}

var managers = []manager{
	{"gdm", "gdm-autologin", []string{"/etc/gdm3/daemon.conf", "/etc/gdm3/custom.conf", "/etc/gdm/custom.conf"}, "daemon", "AutomaticLogin", "AutomaticLoginEnable"},
	{"gdm", "gdm-autologin", []string{"/etc/gdm3/daemon.conf", "/etc/gdm3/custom.conf", "/etc/gdm/custom.conf"}, "daemon", "TimedLogin", "TimedLoginEnable"},
	{"lightdm", "lightdm-autologin", []string{"/usr/share/lightdm/lightdm.conf.d/*.conf", "/etc/xdg/lightdm/lightdm.conf.d/*.conf", "/etc/lightdm/lightdm.conf.d/*.conf", "/etc/lightdm/lightdm.conf"}, "Seat*", "autologin-user", ""},
	{"sddm", "sddm-autologin", []string{"/usr/lib/sddm/sddm.conf.d/*.conf", "/etc/sddm.conf.d/*.conf", "/etc/sddm.conf"}, "Autologin", "User", ""},
	{"plasmalogin", "plasmalogin-autologin", []string{"/etc/plasmalogin.conf", "/etc/plasmalogin.conf.d/*.conf"}, "Autologin", "User", ""},
	{"greetd", "greetd", []string{"/etc/greetd/config.toml"}, "initial_session", "user", ""},
	{"lxdm", "lxdm", []string{"/etc/lxdm/lxdm.conf"}, "base", "autologin", ""},
	{"ly", "ly", []string{"/etc/ly/config.ini"}, "", "auto_login_user", ""},
}

// desktopVariables are files of variables that name somebody, and of which program.
var desktopVariables = []struct{ name, file, variable string }{
	{"The display manager", "/etc/sysconfig/displaymanager", "DISPLAYMANAGER_AUTOLOGIN"}, {"nodm", "/etc/default/nodm", "NODM_USER"},
}

// displayManagers are those that log somebody in by themselves.
func (e *exam) displayManagers() {
	for _, m := range managers {
		user, place, on := "", pamstack.Position{}, m.on == ""
		for _, pattern := range m.files {
			for _, file := range e.Machine.Glob(pattern) {
				section := ""
				for at, line := range target.Lines(e.Machine.Root, file, 0) {
					if name, ok := strings.CutPrefix(line, "["); ok {
						section, _, _ = strings.Cut(name, "]")
						continue
					}
					key, value, set := strings.Cut(line, "=")
					key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)
					switch {
					case !set || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") || !m.within(section):
					case key == m.key:
						user, place = value, at
					case key == m.on:
						on = isYes(value)
					}
				}
			}
		}
		if user != "" && on && !nobody(user) {
			e.loggedIn(place, m.service, m.name, user, "Take "+m.key+" out.")
		}
	}
	for _, d := range desktopVariables {
		for _, v := range unit.Variables(e.Machine.Root, d.file) {
			if v.Name == d.variable && v.Value != "" && (d.name != "nodm" || e.nodm()) {
				e.loggedIn(v.Position, "", d.name, v.Value, "Leave "+d.variable+" empty.")
			}
		}
	}
	e.slim()
}

func (m manager) within(section string) bool {
	if prefix, ok := strings.CutSuffix(m.section, "*"); ok {
		return strings.HasPrefix(section, prefix)
	}
	return section == m.section
}

// nobody says whether a value stands for none.
func nobody(value string) bool {
	return slices.Contains([]string{"null", "none", "false", "no"}, strings.ToLower(value))
}

// nodm says whether that is turned on.
func (e *exam) nodm() bool {
	on := true
	for _, v := range unit.Variables(e.Machine.Root, "/etc/default/nodm") {
		if v.Name == "NODM_ENABLED" {
			on = isYes(v.Value)
		}
	}
	return on
}

// slim is one whose settings stand behind their names.
func (e *exam) slim() {
	user, place, on := "", pamstack.Position{}, false
	for at, line := range target.Lines(e.Machine.Root, "/etc/slim.conf", 0) {
		if words := strings.Fields(line); len(words) > 1 {
			switch words[0] {
			case "default_user":
				user, place = words[1], at
			case "auto_login":
				on = isYes(words[1])
			}
		}
	}
	if user != "" && on {
		e.loggedIn(place, "slim", "slim", user, "Write there: auto_login no.")
	}
}
