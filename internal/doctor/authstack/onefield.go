package authstack

import (
	"fmt"
	"slices"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// MailService is the PAM service that dovecot names if its configuration names
// none.
const MailService = "dovecot"

// MailServices are those that "args = %s" stands for in dovecot's configuration,
// and since 2.4 "service_name = %{protocol}".
var MailServices = []string{"imap", "pop3", "submission", "smtp", "sieve"}

var (
	// oneFieldServices are those of servers that have one field for all that is asked,
	// beside those that have a protocol for it.
	oneFieldServices = append([]string{MailService, "radiusd", "freeradius", "xrdp-sesman", "pure-ftpd", "cups", "squid"}, MailServices...)
	// converse are services that show each prompt, whatever protocol they are given.
	converse = []string{"cockpit", "sshd", "su", "sudo", "login", "gdm-password", "lightdm", "sddm"}
)

// OneField says whether a service's server answers every prompt with the one
// field that its clients have.
func OneField(service string, protocol config.Protocol) bool {
	return OfWebServer(service, protocol) || slices.Contains([]config.Protocol{"ftp", "ftps"}, protocol) && !slices.Contains(converse, service) || slices.Contains(oneFieldServices, service)
}

// OfWebServer says whether a service is asked by a web server, which runs PAM as a user
// that is not root.
func OfWebServer(service string, protocol config.Protocol) bool {
	return slices.Contains([]config.Protocol{"http", "https", "webdav"}, protocol) && !slices.Contains(converse, service)
}

// splits is about codes behind the password.
func (s Stack) splits() []finding.Finding {
	var found []finding.Finding
	kinds := s.kinds()
	first := slices.Index(kinds, password)
	switch {
	case len(s.Splits) > 0 && (len(s.Checks) == 0 || s.Checks[len(s.Checks)-1] < s.Splits[0]):
		found = append(found, s.line(s.Splits[0], finding.Finding{Severity: finding.Error, ID: "split-without-check",
			What:    "The line with split takes the code off the password, and no line behind it checks the code.",
			Follows: "Everybody gets in with the password and any code or none.",
			Fix:     "Add behind the password modules: auth required " + ModuleName}))
	case len(s.Splits) > 0 && first >= 0 && first < s.Splits[0]:
		found = append(found, s.line(s.Splits[0], finding.Finding{Severity: finding.Error, ID: "split-too-late",
			What:    fmt.Sprintf("The line with split comes behind %s (%s), which has taken the whole field for the password by then.", s.Lines[first].Name(), s.Lines[first].Position),
			Follows: "Whoever types a code behind the password is denied.",
			Fix:     "Move the line with split before the password modules."}))
	case len(s.Splits) == 0 && OneField(s.Service, s.Protocol) && len(s.Checks) > 0 && first >= 0:
		found = append(found, s.line(s.Checks[0], finding.Finding{Severity: finding.Error, ID: "one-field-without-split",
			What:    s.Service + " is a service whose clients have one field for password and code, and no line with split takes the code off it.",
			Follows: "The server answers the prompt for a code with the password: whoever needs a code is denied.",
			Fix:     "Add before the password modules: auth required " + ModuleName + " split"}))
	}
	return found
}
