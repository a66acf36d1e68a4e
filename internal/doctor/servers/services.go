package servers

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/authstack"
)

// AskFor are the PAM services that servers of the machine ask for, as far as their
// configurations say, by whatever name.
func AskFor(root string, mail Dovecot) (services []string) {
	for _, server := range proftpdServers(root) {
		if server.off.Line == 0 {
			services = append(services, strings.ToLower(server.service))
		}
	}
	all, _ := vsftpds(root)
	for _, v := range all {
		services = append(services, v.service)
	}
	for _, p := range mail.passdbs {
		services = append(services, p.services...)
	}
	return services
}

// Unused says whether a service is there for a server that asks for others by its
// configuration: its package has brought the file, and nobody comes by it.
func Unused(root string, mail Dovecot, service string) bool {
	asked := func() bool { return slices.Contains(AskFor(root, mail), service) }
	switch service {
	case vsftpdService:
		return !vsftpdAsks(root, service) && !asked()
	case proftpdService:
		return len(proftpdServers(root)) > 0 && !asked()
	case authstack.MailService:
		return len(mail.passdbs) > 0 && !asked()
	}
	return false
}
