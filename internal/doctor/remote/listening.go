package remote

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// expectedListener is where a program of otpgate's must listen.
type expectedListener struct {
	// addresses are those of the configuration, and whom says for whom they are.
	addresses []string
	whom      string
	// uid is who must listen there, or systemd, and who is what to call that user.
	uid uint32
	who string
	// id, follows and fix are those of the finding that nobody does.
	id, follows, fix string
}

// listening looks whether somebody listens there.
func (e *exam) listening(p expectedListener) {
	listeners, err := e.Machine.Listening()
	if err != nil {
		f := finding.NotLookedAt(finding.Note, "whether anybody listens "+p.whom, err.Error())
		f.Fix = "Look for it by ss -ltnp."
		e.add(e.setting("listen", f))
		return
	}
	for _, address := range p.addresses {
		f := finding.Finding{Severity: finding.Error, ID: p.id, What: "Nobody listens at " + address + ", " + p.whom + ".", Follows: p.follows, Fix: p.fix}
		others, listens := "", false
		for _, l := range listeners {
			switch {
			case !isAt(l.At, address):
			case l.UID == p.uid || l.UID == 0: // systemd's socket is root's
				listens = true
			default:
				others = fmt.Sprintf("Uid %d listens at %s, and not %s.", l.UID, address, p.who)
			}
		}
		if others != "" {
			f.What, f.Fix = others, "End that program, or name another port here and on the other machines: ss -ltnp"
		}
		if !listens {
			e.add(e.setting("listen", f))
		}
	}
}

// isAt says whether a listener takes what comes to an address of the configuration.
func isAt(listener netip.AddrPort, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != fmt.Sprint(listener.Port()) {
		return false
	}
	wanted, err := netip.ParseAddr(host)
	return err != nil || listener.Addr().IsUnspecified() || listener.Addr().Unmap() == wanted.Unmap()
}
