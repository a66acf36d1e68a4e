package servers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

const (
	authPAM  = "mod_auth_pam.c"
	authUnix = "mod_auth_unix.c"
	// proftpdOrder is what makes PAM's word the last, and still has the system's
	// accounts.
	proftpdOrder = "AuthOrder mod_auth_pam.c* mod_auth_unix.c"
)

// findings are about a server that asks PAM for this service.
func (s proftpdServer) findings(service string) []finding.Finding {
	f := finding.Finding{Severity: finding.Error, ID: passwordAlone, Services: []string{service},
		Follows: "The password alone gets in, whatever the code was.", Fix: "Write in proftpd.conf: " + proftpdOrder}
	pam := slices.IndexFunc(s.order, func(module string) bool { return strings.TrimSuffix(module, "*") == authPAM })
	switch {
	case s.off.Line > 0:
		f.What = "AuthPAM is off, so ProFTPD does not ask PAM."
		f.Fix = "Take the line out, and write: " + proftpdOrder
		return []finding.Finding{finding.At(s.off, f)}
	case s.order == nil:
		f.What = "No AuthOrder is set, so ProFTPD asks mod_auth_unix when PAM has refused somebody."
		return []finding.Finding{finding.At(s.place, f)}
	case pam < 0:
		f.What = "AuthOrder does not name " + authPAM + ", so ProFTPD does not ask PAM."
		return []finding.Finding{finding.At(s.orderAt, f)}
	case s.order[pam] != authPAM || len(s.order) == 1:
		return nil // it is asked first wherever it stands
	}
	f.What = fmt.Sprintf("ProFTPD asks %s when PAM has refused somebody: %s is without a * behind it.", strings.Join(slices.Delete(slices.Clone(s.order), pam, pam+1), ", "), authPAM)
	if !slices.Contains(s.order, authUnix) {
		f.Severity, f.ID, f.Follows = finding.Warning, otherPasswords, "Whoever has a password there gets in with that alone."
	}
	return []finding.Finding{finding.At(s.orderAt, f)}
}
