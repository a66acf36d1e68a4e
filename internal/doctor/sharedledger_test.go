package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/sharedledger"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
)

// askLedger gives what a set-up says of etcd, and is none if it says nothing.
func (p *patient) askLedger() sharedledger.Ask {
	if p.sharedErr == nil && len(p.shared.Members) == 0 {
		return nil
	}
	return func(_ context.Context, settings config.Ledger) (casledger.Status, error) {
		if p.shared.Prefix == "" {
			p.shared.Prefix = settings.Prefix
		}
		return p.shared, p.sharedErr
	}
}

// memberFact is what a member of etcd says: URL VERSION, and what else is so, as used=MIB,
// ahead=TIME and alarm=TEXT; or URL away.
func (p *patient) memberFact(words []string) error {
	m := casledger.Member{URL: words[0], Version: words[1], Bytes: 64 << 20, InUse: 16 << 20, Quota: 2 << 30, Asked: time.Unix(1_000_000, 0)}
	m.Clock = m.Asked
	if words[1] == "away" {
		m = casledger.Member{URL: words[0], Problem: "connection refused"}
	}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "used":
			_, err = fmt.Sscan(value, &m.InUse)
			m.InUse <<= 20
		case "ahead":
			var ahead time.Duration
			ahead, err = time.ParseDuration(value)
			m.Clock = m.Asked.Add(ahead)
		case "alarm":
			m.Alarms = append(m.Alarms, value)
		case "prefix":
			p.shared.Prefix = value
		case "refused":
			p.shared.Refused = strings.ReplaceAll(value, "-", " ")
		case "unguarded":
			p.shared.Unguarded = true
		case "of":
			_, err = fmt.Sscan(value, &p.shared.Size)
		default:
			err = fmt.Errorf("%q is not understood", word)
		}
		if err != nil {
			return err
		}
	}
	p.shared.Members = append(p.shared.Members, m)
	p.shared.Size = max(p.shared.Size, len(p.shared.Members))
	return nil
}
