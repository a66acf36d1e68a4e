package servers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// The directives of mod_sftp and mod_tls by which somebody gets in without PAM.
const (
	sftpEngine   = "sftpengine"
	sftpMethods  = "sftpauthmethods"
	sftpUserKeys = "sftpauthorizeduserkeys"
	sftpHostKeys = "sftpauthorizedhostkeys"
	tlsOptions   = "tlsoptions"
	tlsUserName  = "tlsusername"
)

var proftpdWays = []string{sftpEngine, sftpMethods, sftpUserKeys, sftpHostKeys, tlsOptions, tlsUserName}

// keys are about a server that takes a key, or a certificate, in place of what PAM asks.
func (s proftpdServer) keys(service string) (found []finding.Finding) {
	alone := func(way proftpdWay, what, who, fix string) {
		found = append(found, finding.At(way.Position, finding.Finding{Severity: finding.Warning, ID: "proftpd-key-alone", Services: []string{service},
			What: what, Follows: who + " gets in there with that alone: ProFTPD asks PAM for nothing then.", Fix: fix}))
	}
	if engine, set := s.ways[sftpEngine]; set && turnedOn(engine.values[0]) {
		for _, m := range []struct{ method, keys, who string }{
			{"publickey", sftpUserKeys, "Who has a key"}, {"hostbased", sftpHostKeys, "Who comes from a host whose key is known"},
		} {
			keys, known := s.ways[m.keys]
			methods, named := s.ways[sftpMethods]
			switch {
			case !known || named && !slices.Contains(lower(methods.values), m.method):
			case named:
				alone(methods, fmt.Sprintf("mod_sftp takes the method %s by itself.", m.method), m.who,
					"Write there: SFTPAuthMethods publickey+keyboard-interactive. That needs mod_sftp_pam, whose service SFTPPAMServiceName names.")
			default:
				alone(keys, fmt.Sprintf("mod_sftp takes the method %s by itself, as no SFTPAuthMethods says otherwise.", m.method), m.who,
					"Add: SFTPAuthMethods publickey+keyboard-interactive. That needs mod_sftp_pam, whose service SFTPPAMServiceName names.")
			}
		}
	}
	if options, set := s.ways[tlsOptions]; set && slices.Contains(lower(options.values), "allowdotlogin") {
		alone(options, "By AllowDotLogin mod_tls takes a certificate that stands in ~/.tlslogin in place of a password.", "Who has such a certificate", "Take AllowDotLogin out.")
	}
	if name, set := s.ways[tlsUserName]; set {
		alone(name, "By TLSUserName mod_tls takes a certificate with somebody's name in place of a password.", "Who has such a certificate", "Take TLSUserName out.")
	}
	return found
}

func turnedOn(value string) bool {
	return slices.Contains([]string{"on", "yes", "true", "1"}, strings.ToLower(value))
}

func lower(values []string) (all []string) {
	for _, value := range values {
		all = append(all, strings.ToLower(value))
	}
	return all
}
