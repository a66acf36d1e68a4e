package webpage

import (
	"net/netip"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// verifierUnit is the service that answers the page, and mails what self-service mails.
const verifierUnit = "otpgate-verifierd-portal.service"

// selfServiceMail looks whether the links of self-service can leave the machine. Logins
// have codes sent by other processes, which may.
func (e *exam) selfServiceMail() {
	root := e.Machine.Root
	if !e.portal.Manage || e.Settings.Email == nil || !unit.Enabled(root, verifierUnit) {
		return
	}
	f := finding.Finding{Severity: finding.Warning, ID: "self-service-mail", Follows: "Nobody gets into self-service: the link is never mailed, and the page says to everybody that it is on its way."}
	if e.Settings.Email.Sendmail != "" {
		f.What = "portal.manage is set, and mails go by email.sendmail, which does not work in the unit of the verifier that answers the page."
		f.Fix = `Write email.smtp in its place, such as smtp = "smtp://127.0.0.1" for a mail server on this machine.`
		e.add("manage", f)
		return
	}
	server, problem := e.Settings.Email.Server()
	address, notAddress := netip.ParseAddr(server.Host)
	if problem != "" || notAddress == nil && address.IsLoopback() || server.Host == "localhost" {
		return
	}
	for _, service := range unit.Services(root, verifierUnit) {
		kept := !service.MayLeave()
		if notAddress == nil {
			kept = !service.MayReach(address)
		}
		if service.Name != verifierUnit || !service.Whole || !kept {
			continue
		}
		f.What = "portal.manage is set, and the unit of the verifier that answers the page does not let it reach the mail server " + server.Host + " (IPAddressDeny=)."
		f.Fix = "install -D -m 644 /usr/share/otpgate/send.conf /etc/systemd/system/otpgate-verifierd-portal.service.d/send.conf && systemctl daemon-reload && systemctl restart otpgate-verifierd-portal"
		e.add("manage", f)
		return
	}
}
