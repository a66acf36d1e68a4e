package admission

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
)

// Why connections come to no login: rules of lines in the log, and of the
// metrics.
const (
	ByMaxStartups       = "sftp.limits.max_startups"
	ByStartupsPerSource = "sftp.limits.startups_per_source"
	ByPenalties         = "sftp.limits.penalties"
	ByProxy             = "sftp.proxy_protocol"
	ByKeyExchange       = "key-exchange"
)

// Rules are all of them.
var Rules = []string{ByMaxStartups, ByStartupsPerSource, ByPenalties, ByProxy, ByKeyExchange}

// Refusal is the limit that a connection is refused by; the zero value is none.
type Refusal struct{ Rule, Reason string }

// Closing says for how long the connections of an address are closed from now
// on.
func Closing(closed time.Duration) Refusal {
	return Refusal{ByPenalties, fmt.Sprintf("it keeps failing; its connections are closed for the next %s, longer if it goes on", closed.Round(time.Second))}
}

// Record is the line about a connection of an address.
func (r Refusal) Record(service string, remote netip.Addr) audit.Record {
	return audit.Record{Service: service, Protocol: "sftp", Remote: remote.String(), Verdict: "turned-away", Rule: r.Rule, Reason: r.Reason}
}

func tooMany(addr netip.Addr, most int) Refusal {
	return Refusal{ByStartupsPerSource, fmt.Sprintf("%d connections of %s are at their login", most, place(addr))}
}

func tooManyOfAll(most int) Refusal {
	return Refusal{ByMaxStartups, fmt.Sprintf("%d connections are at their login", most)}
}

// tooManyMeanwhile is tooMany while there are few places left.
func tooManyMeanwhile(all, most int, addr netip.Addr) Refusal {
	return Refusal{ByMaxStartups, fmt.Sprintf("%d connections are at their login, %d of them of %s", all, most, place(addr))}
}

func keepsFailing(addr netip.Addr, wait time.Duration) Refusal {
	return Refusal{ByPenalties, fmt.Sprintf("%s keeps failing, and is turned away for another %s", place(addr), max(wait, time.Second).Round(time.Second))}
}

// place is a source in words: its address, or of IPv6 its network.
func place(addr netip.Addr) string {
	source := config.SourceOf(addr)
	if source.IsSingleIP() {
		return source.Addr().String()
	}
	return source.String()
}
