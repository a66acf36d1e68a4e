package daemons

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// vnc finds servers of VNC that others than this machine can reach, and that have a
// password of their own or none.
func (e *exam) vnc() {
	for _, s := range e.started("vncserver", "tigervncserver", "vncsession-start", "vncsession", "Xvnc", "Xtigervnc", "x11vnc", "x0vncserver") {
		types := s.option("-SecurityTypes", "-securitytypes", "SecurityTypes")
		_, inside, said := s.localhost()
		switch {
		case inside || !said && e.Machine.Has("/etc/debian_version") && s.program() == "tigervncserver":
		case types != "" && !slices.ContainsFunc(strings.Split(types, ","), func(kind string) bool { return !strings.Contains(kind, "Plain") }), s.has("-unixpw"):
			e.vncByPAM(s)
		case slices.Contains(strings.Split(types, ","), "None"), s.program() == "x11vnc" && !s.has("-rfbauth", "-passwd", "-passwdfile", "-usepw"):
			e.pastPAM(s, s.By+" starts "+s.program()+", a desktop for VNC, which asks for no password.", "Whoever reaches it is at that desktop with neither password nor code.")
		default:
			e.pastPAM(s, s.By+" starts "+s.program()+", a desktop for VNC, which has a password of its own.",
				"Who has that password is at that desktop without a code. To have it reached through ssh alone: -localhost.")
		}
	}
}

// localhost says whether it was told to listen for this machine alone.
func (s started) localhost() (at int, inside, said bool) {
	for at, word := range s.Words {
		value, ok := strings.CutPrefix(word, "-localhost")
		if !ok {
			continue
		}
		value = strings.TrimPrefix(value, "=")
		if value == "" && at+1 < len(s.Words) {
			value = s.Words[at+1]
		}
		return at, !slices.Contains([]string{"no", "0", "false"}, value), true
	}
	return 0, false, false
}

// vncByPAM is about one that asks PAM.
func (e *exam) vncByPAM(s started) {
	service := s.option("-PAMService", "-pam_service", "-pamservice")
	if service == "" {
		service = "vnc"
	}
	if e.asks(service) {
		return
	}
	e.add(finding.At(s.Position, finding.Finding{Severity: finding.Warning, ID: "daemon-without-line", Services: []string{service},
		What:    s.By + " starts " + s.program() + ", which asks PAM for the service " + service + ", and no line of that asks for a code.",
		Follows: "Whoever has a password gets in over the network with that alone.", Fix: s.off() + " Or: otpctl pam enable " + service + " --split"}))
}
