package ledger

import (
	"slices"
	"strings"
	"time"
)

// Login is one at which a person's code was looked at.
type Login struct {
	At time.Time `json:"at"`
	// Service is the PAM service, Host the machine that was logged in to, Address where
	// the person came from, "" for the machine itself.
	Service string `json:"service"`
	Host    string `json:"host,omitempty"`
	Address string `json:"address,omitempty"`
	// Peer is whose programs asked, and what is said above is their word; empty for root's.
	Peer string `json:"peer,omitempty"`
	// Rule is what the code was of. Denied says that it was wrong.
	Rule   string `json:"rule"`
	Denied bool   `json:"denied,omitempty"`
}

// Bounds of the logins that an entry has. Wrong codes have a share of their own: whoever
// gives them must not push out what the owner is to see.
const (
	KeptLogins     = 20
	keptDenied     = 5
	keptLoginBytes = 1 << 10 // encoded
	// Whoever gives wrong codes may choose what is long: an address has a name where the
	// host looks that up, and a server that was taken over says what it likes.
	keptDeniedBytes = keptLoginBytes / 3
	maxLoginText    = 64
)

// AddLogin adds the newest login of the person's and drops the oldest ones. A wrong code
// from the same place, less than together after the one before, is the same login.
func (e *Entry) AddLogin(login Login, together time.Duration) {
	for _, text := range []*string{&login.Service, &login.Host, &login.Address, &login.Peer, &login.Rule} {
		*text = strings.ToValidUTF8((*text)[:min(len(*text), maxLoginText)], "")
	}
	login.At = login.At.UTC().Truncate(time.Second)
	recent := slices.Clone(e.Recent)
	if last := len(recent) - 1; login.Denied && last >= 0 {
		before := recent[last]
		since := login.At.Sub(before.At)
		before.At = login.At
		if before == login && since >= 0 && since < together {
			recent = recent[:last]
		}
	}
	recent = append(recent, login)
	denied := 0
	for i := len(recent) - 1; i >= 0; i-- {
		if !recent[i].Denied {
			continue
		}
		if denied++; denied > keptDenied {
			recent = slices.Delete(recent, i, i+1)
		}
	}
	e.Recent = KeepLogins(recent)
}

// KeepLogins are the newest of logins, which stand in their order, as many as an entry has.
func KeepLogins(logins []Login) []Login {
	logins = slices.Clone(logins[max(0, len(logins)-KeptLogins):])
	denied := slices.DeleteFunc(slices.Clone(logins), func(l Login) bool { return !l.Denied })
	for len(denied) > 1 && loginBytes(denied) > keptDeniedBytes {
		oldest := slices.IndexFunc(logins, func(l Login) bool { return l.Denied })
		logins, denied = slices.Delete(logins, oldest, oldest+1), denied[1:]
	}
	for loginBytes(logins) > keptLoginBytes {
		logins = logins[1:]
	}
	return logins
}

func loginBytes(logins []Login) int {
	var e encoder
	e.logins(logins)
	return len(e.all)
}

// logins ends a field for each.
func (e *encoder) logins(logins []Login) {
	for _, l := range logins {
		e.times(l.At)
		e.texts(l.Service, l.Host, l.Address, l.Peer, l.Rule)
		denied := int64(0)
		if l.Denied {
			denied = 1
		}
		e.number(denied)
		e.end(tagRecent)
	}
}

func (d *decoder) login() Login {
	l := Login{At: d.time(), Service: d.text(), Host: d.text(), Address: d.text(), Peer: d.text(), Rule: d.text()}
	switch d.number() {
	case 0:
	case 1:
		l.Denied = true
	default:
		d.bad = true
	}
	return l
}
