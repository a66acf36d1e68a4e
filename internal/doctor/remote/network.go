package remote

import (
	"slices"
	"strings"

	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/unit"
)

// verifierUnit is the service whose processes speak with the servers.
const verifierUnit = "otpgate-verifierd.service"

// unitAllows finds a verifier that its unit keeps on the machine. The doctor itself may
// reach servers that it does not.
func (e *exam) unitAllows(looks []answer) {
	root := e.Machine.Root
	if !unit.Enabled(root, verifierUnit) {
		return
	}
	for _, service := range unit.Services(root, verifierUnit) {
		if service.Name != verifierUnit || !service.Whole || service.MayReachAny() {
			continue
		}
		kept, known := keptFrom(service, looks)
		if known && len(kept) == 0 || !known && service.MayLeave() {
			continue
		}
		f := finding.Finding{Severity: finding.Error, ID: "verifier-kept-in", What: "The unit of the verifier does not let it leave this machine (IPAddressDeny=).",
			Follows: "It reaches no server. " + denied,
			Fix:     "install -D -m 644 /usr/share/otpgate/remote.conf /etc/systemd/system/otpgate-verifierd.service.d/remote.conf && systemctl daemon-reload && systemctl restart otpgate-verifierd"}
		if service.MayLeave() {
			f.What = "The unit of the verifier does not let it reach " + strings.Join(kept, ", ") + " (IPAddressAllow=)."
			f.Follows = "Logins are not decided there."
			f.Fix = "Add these addresses to IPAddressAllow= in the unit's drop-in, then systemctl daemon-reload && systemctl restart otpgate-verifierd"
		}
		place := service.Denies()
		f.File, f.Line = place.File, place.Line
		e.add(f)
	}
}

// keptFrom are addresses of servers that the unit does not let its processes reach.
// known says that there are addresses.
func keptFrom(service unit.Service, looks []answer) (kept []string, known bool) {
	for _, look := range looks {
		for _, address := range look.Addresses {
			known = true
			if !service.MayReach(address) && !slices.Contains(kept, address.String()) {
				kept = append(kept, address.String())
			}
		}
	}
	return kept, known
}
