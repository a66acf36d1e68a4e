package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Protocol is what a person logs in by. Its names are those that are built in and
// those that the policy declares, so that a typing mistake is an error and not a
// protocol nobody uses.
type Protocol string

// AllProtocols lists the protocols that are built in, in the order of the
// documentation. [Policy.AllProtocols] has those of one's own too.
func AllProtocols() []Protocol {
	return []Protocol{"ssh", "sftp", "ftp", "ftps", "http", "https", "webdav", "sudo", "su", "login"}
}

// UnmarshalText checks the form alone; whether there is such a protocol only the
// policy knows: see [Policy.Protocol].
func (p *Protocol) UnmarshalText(text []byte) error {
	if !formOfProtocol(text) {
		return errors.New("expected up to 32 of a-z, 0-9 and -, a letter first")
	}
	*p = Protocol(text)
	return nil
}

// maxProtocol leaves room for a name in the ledger and in metrics.
const maxProtocol = 32

func formOfProtocol(name []byte) bool {
	if len(name) == 0 || len(name) > maxProtocol || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	return strings.Trim(string(name), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// CheckProtocol refuses a protocol that is neither built in nor among own.
func CheckProtocol(p Protocol, own []Protocol) error {
	if slices.Contains(AllProtocols(), p) || slices.Contains(own, p) {
		return nil
	}
	return notProtocol(own)
}

func notProtocol(own []Protocol) error {
	var names []string
	for _, p := range slices.Concat(AllProtocols(), own) {
		names = append(names, string(p))
	}
	return fmt.Errorf("expected a protocol, one of %s; policy.own_protocols declares more", strings.Join(names, ", "))
}

// AllProtocols lists those that are built in and those of the policy's own.
func (p Policy) AllProtocols() []Protocol { return append(AllProtocols(), p.OwnProtocols...) }

// Protocol reads the name of one of AllProtocols.
func (p Policy) Protocol(name string) (Protocol, error) {
	if err := CheckProtocol(Protocol(name), p.OwnProtocols); err != nil {
		return "", err
	}
	return Protocol(name), nil
}

// Selector names people: a login name, "@group" or "@all".
type Selector string

// All selects everybody.
const All Selector = "@all"

// Group returns the group that s selects by, or "".
func (s Selector) Group() string {
	if s == All {
		return ""
	}
	group, found := strings.CutPrefix(string(s), "@")
	if !found {
		return ""
	}
	return group
}

// UnmarshalText checks the form; whether such a person or group exists is
// known only at the login.
func (s *Selector) UnmarshalText(text []byte) error {
	if problem := unprintable(string(text)); problem != "" {
		return errors.New(problem)
	}
	name := strings.TrimPrefix(string(text), "@")
	if name == "" || strings.ContainsAny(name, "/*?") || strings.TrimSpace(name) != name {
		return errors.New(`expected a login name, "@group" or "@all"`)
	}
	*s = Selector(text)
	return nil
}

// unprintable says what is wrong with a name that nobody can have. In double
// quotes a backslash begins an escape: "CORP\tom" is somebody with a tab.
func unprintable(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return fmt.Sprintf("%q has a character that cannot be printed; expected a name, and one with a backslash in 'single quotes', such as 'CORP\tom'", name)
}

// Network is a literal address or network.
type Network struct{ netip.Prefix }

// UnmarshalText takes an address or a network in CIDR notation. A network
// with host bits set is refused: it is a slip more often than a wish.
func (n *Network) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		n.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil || prefix.Addr().Is4In6() {
		return errors.New(`expected an address or network in numbers, such as "10.0.0.0/8" or "2001:db8::/32"`)
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("expected a network without host bits; did you mean %q?", prefix.Masked())
	}
	n.Prefix = prefix
	return nil
}

// Contains says whether remote, a literal address, is in the network.
func (n Network) Contains(remote netip.Addr) bool {
	return n.Prefix.Contains(remote.Unmap().WithZone(""))
}

// Unenrolled says what happens to people who must give a code and have not
// enrolled. The zero value refuses.
type Unenrolled string

// The choices for people who have not enrolled.
const (
	Refuse Unenrolled = "refuse"
	Allow  Unenrolled = "allow"
	Enroll Unenrolled = "enroll" // at the login, before it goes on
	Invite Unenrolled = "invite" // by a link that is mailed at the login, which ends
)

// UnmarshalText checks the choice.
func (u *Unenrolled) UnmarshalText(text []byte) error {
	return choose(u, text, Enroll, Invite, Refuse, Allow)
}

// EndsLogin says that such people are let in by nothing that they do at the login.
func (u Unenrolled) EndsLogin() bool { return u != Allow && u != Enroll }

// WithoutProof is the choice where no password was shown: nobody enrolls there, or is
// mailed a link.
func (u Unenrolled) WithoutProof() Unenrolled {
	if u == Enroll || u == Invite {
		return Refuse
	}
	return u
}

// choose sets choice to text if that is one of the choices.
func choose[T ~string](choice *T, text []byte, choices ...T) error {
	if slices.Contains(choices, T(text)) {
		*choice = T(text)
		return nil
	}
	last := len(choices) - 1
	quoted := make([]string, last)
	for i, c := range choices[:last] {
		quoted[i] = strconv.Quote(string(c))
	}
	return fmt.Errorf("expected %s or %q", strings.Join(quoted, ", "), choices[last])
}

// Grace is until when people who must give a code and have not enrolled are
// let in: so long after their first login, or until a day. The zero value
// gives none.
type Grace struct {
	For   time.Duration
	Until time.Time // the end of the day that was named, in the machine's time zone
}

// UnmarshalText reads a duration, as Duration does, or a date.
func (g *Grace) UnmarshalText(text []byte) error {
	if day, err := time.ParseInLocation(time.DateOnly, string(text), time.Local); err == nil {
		*g = Grace{Until: day.AddDate(0, 0, 1)}
		return nil
	}
	var span Duration
	if span.UnmarshalText(text) != nil {
		return errors.New(`expected a number and a unit, such as "14d", or the last day, such as "2026-12-31"`)
	}
	*g = Grace{For: span.Duration}
	return nil
}

// Duration is a span of time. Its text is a whole number and one of s, m, h
// and d: "90s", "10m", "12h", "14d".
//
// It is a struct so that a bare number, of who knows what, is refused.
type Duration struct{ time.Duration }

// UnmarshalText reads the text form.
func (d *Duration) UnmarshalText(text []byte) error {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	if len(text) >= 2 {
		unit := units[text[len(text)-1]]
		n, err := strconv.ParseUint(string(text[:len(text)-1]), 10, 32)
		if unit != 0 && err == nil && time.Duration(n) <= (10*366*24*time.Hour)/unit {
			d.Duration = time.Duration(n) * unit
			return nil
		}
	}
	return errors.New(`expected a number and a unit, such as "30s", "10m", "12h" or "14d"`)
}
