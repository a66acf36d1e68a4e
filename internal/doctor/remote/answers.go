package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/pinned"
	"github.com/otpgate/otpgate/internal/remotelogin"
)

// answer is what a server said.
type answer = remotelogin.Look

// answers says what is wrong with each server, and with all of them together.
func (e *exam) answers(looks []answer) {
	severity, follows := finding.Error, denied
	if e.Settings.Remote.Listen != nil || slices.ContainsFunc(looks, func(l answer) bool { return l.Err == nil }) {
		severity, follows = finding.Warning, "Logins go to the other servers. Once those fail, everybody is denied who is not exempt."
	}
	for _, look := range looks {
		if look.Err == nil {
			continue
		}
		f := e.refusal(look)
		f.Severity = severity
		f.Follows = strings.TrimSpace(f.Follows + " " + follows)
		e.add(e.setting("servers", f))
	}
	e.ledgers(looks)
	e.clocks(looks)
	e.unusedKeys(looks)
}

// refusal is the finding about a server that takes no login.
func (e *exam) refusal(look answer) finding.Finding {
	var unknown remotelogin.UnknownKeyError
	var refused remotelogin.RefusedError
	var busy remotelogin.BusyError
	switch {
	case errors.As(look.Err, &unknown):
		return finding.Finding{ID: "server-key", What: fmt.Sprintf("%s shows the key %s, which is not in remote.server_keys.", look.Server, unknown.Key),
			Follows: "It is asked nothing: whoever stands between might be it.",
			Fix:     "Compare the key with what otpctl client key prints on that server. Only if they are the same, write it into remote.server_keys."}
	case errors.As(look.Err, &refused):
		return finding.Finding{ID: "client-refused", What: fmt.Sprintf("%s does not take this machine's key, %s, from its address.", look.Server, refused.Key),
			Fix: fmt.Sprintf("On that server: otpctl client add NAME %s. If otpctl client list has the key there, its addresses leave this machine out. rule=gateway.clients in the server's log says which.", refused.Key)}
	case errors.As(look.Err, &busy):
		return finding.Finding{ID: "server-busy", What: look.Server + " answers, and takes no login: " + busy.Reason + ".",
			Fix: "Run otpctl doctor on that server; its log says the same login's reason in full."}
	}
	return unreachable(look)
}

// unreachable is the finding about a server that cannot be spoken with.
func unreachable(look answer) finding.Finding {
	host, port, _ := net.SplitHostPort(look.Server)
	f := finding.Finding{ID: "server-unreachable"}
	var unresolved *net.DNSError
	switch {
	case errors.As(look.Err, &unresolved):
		f.What = look.Server + " cannot be found: " + unresolved.Error() + "."
		f.Fix = "Correct the name, or see that the resolver answers: getent ahosts " + host
	case errors.Is(look.Err, unix.ECONNREFUSED):
		f.What = look.Server + " refuses the connection: nothing listens there."
		f.Fix = "On that server: systemctl enable --now otpgate-gateway, and otpctl doctor."
	case errors.Is(look.Err, context.DeadlineExceeded) && look.Key == config.KeyHash{}:
		f.What = fmt.Sprintf("%s does not answer within %v.", look.Server, Step)
		f.Fix = "See that the server runs, and that no firewall drops TCP to port " + port + " on the way."
	case errors.Is(look.Err, context.DeadlineExceeded):
		f.What = fmt.Sprintf("%s shows the right key, and says within %v neither that it takes a login nor that it does not.", look.Server, Step)
		f.Fix = "On that server: systemctl status otpgate-gateway otpgate-verifierd, and otpctl doctor."
	case errors.Is(look.Err, unix.EHOSTUNREACH), errors.Is(look.Err, unix.ENETUNREACH), errors.Is(look.Err, unix.EPERM):
		f.What = look.Server + " cannot be reached: " + pinned.Shorter(look.Err).Error() + "."
		f.Fix = "See this machine's routes and firewall: ip route get ADDRESS."
	default:
		f.What = look.Server + " cannot be spoken with: " + pinned.Shorter(look.Err).Error() + "."
		f.Fix = "See that otpgate-gateway listens there, of this version, and that nothing between ends the TLS connection."
	}
	if here := own(look.Addresses); here != "" {
		f.What += " The name leads to " + here + ", which is this machine itself."
		f.Fix = "Correct the name's address, in /etc/hosts if it stands there: getent ahosts " + host
	}
	return f
}

// own is one of the addresses that no other machine has, "" if there is none.
func own(addresses []netip.Addr) string {
	for _, address := range addresses {
		if address.IsLoopback() || address.IsUnspecified() {
			return address.String()
		}
	}
	return ""
}

// ledgers finds servers that would each take a code once.
func (e *exam) ledgers(looks []answer) {
	var told []string
	var first string
	differ := false
	for _, look := range looks {
		if look.Err != nil {
			continue
		}
		if first == "" {
			first = look.Ledger
		}
		differ = differ || look.Ledger != first
		told = append(told, look.Server+" has "+look.Ledger)
	}
	if differ {
		e.add(e.setting("servers", finding.Finding{Severity: finding.Error, ID: "ledgers-differ", What: "The servers have different ledgers: " + strings.Join(told, ", ") + ".",
			Follows: "Each would take a code once, so the client denies logins once it has seen two of them.",
			Fix:     "Have all servers use one ledger and one directory of secret files (paths.state, paths.users), or take all but one out of remote.servers: docs/remote.md."}))
	}
}

// apart is by how much clocks may differ: a code is shown for half a minute.
const apart = 30 * time.Second

// clocks finds servers by whose clocks different codes are right. This machine's own
// clock is the measure as long as a time service keeps it.
func (e *exam) clocks(looks []answer) {
	var told []string
	var least, most time.Duration
	kept := e.Machine.Synchronised()
	for _, look := range looks {
		if look.Err != nil {
			continue
		}
		if len(told) == 0 && !kept {
			least, most = look.Ahead, look.Ahead
		}
		least, most = min(least, look.Ahead), max(most, look.Ahead)
		told = append(told, look.Server+"'s is "+ahead(look.Ahead))
	}
	if len(told) == 0 || most-least <= apart {
		return
	}
	e.add(e.setting("servers", finding.Finding{Severity: finding.Warning, ID: "clocks-apart", What: "Clocks differ: " + strings.Join(told, ", ") + ".",
		Follows: "A code is shown for half a minute. A server whose clock is wrong refuses right codes and takes old ones; this machine's own clock decides nothing.",
		Fix:     "On the machine whose clock is wrong: timedatectl set-ntp true, or install chrony."}))
}

func ahead(by time.Duration) string {
	by = by.Round(time.Second)
	switch {
	case by > 0:
		return fmt.Sprintf("%v ahead of this machine's", by)
	case by < 0:
		return fmt.Sprintf("%v behind this machine's", -by)
	}
	return "as this machine's"
}

// unusedKeys finds keys that are believed, and that no server has.
func (e *exam) unusedKeys(looks []answer) {
	if e.Settings.Remote.Listen != nil {
		return // those that connect have some
	}
	shown := map[config.KeyHash]bool{}
	for _, look := range looks {
		if look.Err != nil {
			return // it may have one of them
		}
		shown[look.Key] = true
	}
	var unused []string
	for _, key := range e.Settings.Remote.ServerKeys {
		if !shown[key] {
			unused = append(unused, key.String())
		}
	}
	if len(unused) > 0 {
		e.add(e.setting("server_keys", finding.Finding{Severity: finding.Note, ID: "server-key-unused", What: "No server shows the key " + strings.Join(unused, ", ") + ", which remote.server_keys has.",
			Follows: "Whoever has that key is believed as a server.", Fix: "If it is not the next key of a server, take it out."}))
	}
}
