package servers

import (
	"path"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
	"github.com/otpgate/otpgate/internal/doctor/target"
	"github.com/otpgate/otpgate/internal/doctor/unit"
	"github.com/otpgate/otpgate/internal/pamstack"
)

// Named is a PAM service that a program asks for.
type Named struct {
	// Position is where the program's configuration says so, or the program's file.
	pamstack.Position
	Program, Service string
	// BuiltIn says that the program knows no other name, or was told none.
	BuiltIn bool
}

// AskFor are the PAM services that servers of the machine ask for, as far as their
// configurations say, by whatever name.
func AskFor(m *target.Machine, mail Dovecot) (all []Named) {
	e := &exam{machine: m, mail: mail}
	for _, server := range proftpdServers(m.Root) {
		if server.off.Line == 0 {
			all = append(all, Named{server.place, "ProFTPD", server.service, server.service == proftpdService})
		}
	}
	vsftpds, _ := vsftpds(m.Root)
	for _, v := range vsftpds {
		all = append(all, Named{v.Position, "vsftpd", v.service, v.Line == 0})
	}
	all = append(all, e.mailNames()...)
	all = append(all, e.saslNames()...)
	all = append(all, e.webNames()...)
	all = append(all, radiusNames(m)...)
	if place, service := e.squidHelper(); service != "" {
		all = append(all, Named{place, "squid", service, service == squidService})
	}
	all = slices.DeleteFunc(all, func(n Named) bool { return n.Service == "" || strings.ContainsAny(n.Service, "$%@") }) // variables
	for i := range all {
		all[i].Service = strings.ToLower(path.Base(all[i].Service)) // as pam_start(3)
	}
	return all
}

// asksFor says whether one of them asks for a service.
func asksFor(m *target.Machine, mail Dovecot, service string) bool {
	return slices.ContainsFunc(AskFor(m, mail), func(n Named) bool { return n.Service == service })
}

// Unused says whether a service is there for a server that asks for others by its
// configuration: its package has brought the file, and nobody comes by it.
func Unused(m *target.Machine, mail Dovecot, service string) bool {
	switch service {
	case vsftpdService:
		return !vsftpdAsks(m.Root, service) && !asksFor(m, mail, service)
	case proftpdService:
		return len(proftpdServers(m.Root)) > 0 && !asksFor(m, mail, service)
	case authstack.MailService:
		return len(mail.passdbs) > 0 && !asksFor(m, mail, service)
	}
	return false
}

// fixed are programs that ask for one service, and the unit that has each started, ""
// where people start it themselves.
var fixed = []struct{ service, program, unit string }{
	{"cockpit", "/usr/lib/cockpit/cockpit-session", "cockpit.service"},
	{"cockpit", "/usr/libexec/cockpit-session", "cockpit.service"},
	{"xrdp-sesman", "/usr/sbin/xrdp-sesman", "xrdp-sesman.service"},
	{"pure-ftpd", "/usr/sbin/pure-ftpd", "pure-ftpd.service"},
	{"sudo", "/usr/bin/sudo", ""},
	{"su", "/usr/bin/su", ""},
	{"login", "/usr/bin/login", ""},
}

// Fixed are the services of programs that know no other.
func Fixed(m *target.Machine) (all []Named) {
	for _, f := range fixed {
		if m.Has(f.program) && (f.unit == "" || unit.Enabled(m.Root, f.unit)) {
			all = append(all, Named{pamstack.Position{File: f.program}, path.Base(f.program), f.service, true})
		}
	}
	return all
}
