package config

import (
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a new enrollment may use; secret files have the same.
const (
	MinDigits, MaxDigits = 6, 8
	MinPeriod, MaxPeriod = 15, 300
)

// Algorithms lists the hashes of RFC 6238 section 1.2.
var Algorithms = []string{"SHA1", "SHA256", "SHA512"}

// check returns the first problem and the key it is at, or "".
func (c Config) check() (problem string, key []string) {
	for _, test := range []struct {
		ok   bool
		want string
		key  []string
	}{
		{len(c.Policy.Protocols) > 0, "the list is empty, so no code would be asked anywhere; expected at least one protocol, or no such line for all", []string{"policy", "protocols"}},
		{within(c.Policy.Attempts.PerLogin, 1, 20), "expected 1 to 20", []string{"policy", "attempts", "per_login"}},
		{within(c.Policy.Attempts.PerWindow, 1, 1000), "expected 1 to 1000", []string{"policy", "attempts", "per_window"}},
		{within(c.Policy.Attempts.PerSource, 1, 100000), "expected 1 to 100000", []string{"policy", "attempts", "per_source"}},
		{within(int(c.Policy.Attempts.Window.Duration), int(time.Minute), int(24*time.Hour)), `expected "1m" to "1d"`, []string{"policy", "attempts", "window"}},
		{c.Policy.Session.Duration <= maxSession, `expected at most "366d"`, []string{"policy", "session"}},
		{filepath.IsAbs(c.Paths.Users), "expected an absolute path", []string{"paths", "users"}},
		{filepath.IsAbs(c.Paths.State), "expected an absolute path", []string{"paths", "state"}},
		{filepath.IsAbs(c.Paths.Socket), "expected an absolute path", []string{"paths", "socket"}},
		{filepath.IsAbs(c.Paths.BreakGlass), "expected an absolute path", []string{"paths", "break_glass"}},
		{within(c.TOTP.Digits, MinDigits, MaxDigits), "expected 6, 7 or 8", []string{"totp", "digits"}},
		{within(c.TOTP.Period, MinPeriod, MaxPeriod), "expected 15 to 300 seconds", []string{"totp", "period"}},
		{slices.Contains(Algorithms, c.TOTP.Algorithm), `expected "SHA1", "SHA256" or "SHA512"`, []string{"totp", "algorithm"}},
		{within(c.TOTP.Window, 0, 10), "expected 0 to 10 steps", []string{"totp", "window"}},
		{within(c.HOTP.Digits, MinDigits, MaxDigits), "expected 6, 7 or 8", []string{"hotp", "digits"}},
		{slices.Contains(Algorithms, c.HOTP.Algorithm), `expected "SHA1", "SHA256" or "SHA512"`, []string{"hotp", "algorithm"}},
		{within(c.HOTP.Window, 0, 100), "expected 0 to 100 codes", []string{"hotp", "window"}},
		{validMetrics(c.Verifier.Metrics), `expected a loopback address and port, such as "127.0.0.1:9151", or "unix:/path"`, []string{"verifier", "metrics"}},
		{!slices.Contains(c.Verifier.Allow, ""), "expected the names of users", []string{"verifier", "allow"}},
		{c.Paths.Sender == "" || filepath.IsAbs(c.Paths.Sender), "expected an absolute path", []string{"paths", "sender"}},
		{validIssuer(c.TOTP.Issuer), "expected up to 64 printable characters without a colon", []string{"totp", "issuer"}},
	} {
		if !test.ok {
			return test.want, test.key
		}
	}
	if problem, key := c.checkNames(); problem != "" {
		return problem, key
	}
	if problem, key := c.checkProtocols(); problem != "" {
		return problem, key
	}
	if problem, key := c.Policy.checkSessions(); problem != "" {
		return problem, key
	}
	if problem := c.checkInvite(); problem != "" {
		return problem, []string{"policy", "unenrolled"}
	}
	for _, table := range []struct {
		name  string
		check func() (problem string, key []string)
	}{{"secrets", c.Secrets.check}, {"sent", c.Sent.check}, {"email", c.Email.check}, {"sms", c.SMS.check}, {"sftp", c.SFTP.check}, {"remote", c.Remote.check}, {"gateway", c.Gateway.check}, {"ledger", c.Ledger.check}, {"portal", c.Portal.check}} {
		if problem, key := table.check(); problem != "" {
			return problem, append([]string{table.name}, key...)
		}
	}
	if problem, key := c.Portal.checkManage(c.Email); problem != "" {
		return problem, append([]string{"portal"}, key...)
	}
	if c.Ledger != nil && c.Ledger.People && len(c.Secrets.Keys) == 0 {
		return "expected [secrets] with keys too: secrets are not kept in etcd without being encrypted; see otpctl secrets init", []string{"ledger", "people"}
	}
	return "", nil
}

// checkNames looks at names that are no selectors.
func (c Config) checkNames() (problem string, key []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		if problem := unprintable(name); problem != "" {
			return problem, []string{"services", name}
		}
	}
	for _, name := range c.Verifier.Allow {
		if problem := unprintable(name); problem != "" {
			return problem, []string{"verifier", "allow"}
		}
	}
	if problem := unprintable(c.SFTP.FrontUser); problem != "" {
		return problem, []string{"sftp", "front_user"}
	}
	if problem := unprintable(c.SFTP.KeysCommandUser); problem != "" {
		return problem, []string{"sftp", "keys_command_user"}
	}
	return unprintable(c.SFTP.PAMService), []string{"sftp", "pam_service"}
}

// checkProtocols looks at where protocols are declared, and named.
func (c Config) checkProtocols() (problem string, key []string) {
	for i, own := range c.Policy.OwnProtocols {
		if slices.Contains(AllProtocols(), own) {
			return string(own) + " is built in", []string{"policy", "own_protocols"}
		}
		if slices.Contains(c.Policy.OwnProtocols[:i], own) {
			return string(own) + " is there twice", []string{"policy", "own_protocols"}
		}
	}
	for _, protocol := range c.Policy.Protocols {
		if err := CheckProtocol(protocol, c.Policy.OwnProtocols); err != nil {
			return err.Error(), []string{"policy", "protocols"}
		}
	}
	for _, service := range slices.Sorted(maps.Keys(c.Services)) {
		if err := CheckProtocol(c.Services[service], c.Policy.OwnProtocols); err != nil {
			return err.Error(), []string{"services", service}
		}
	}
	return "", nil
}

// maxSession bounds how long a login is remembered.
const maxSession = 366 * 24 * time.Hour

func (p Policy) checkSessions() (problem string, key []string) {
	for _, name := range slices.Sorted(maps.Keys(p.Sessions)) {
		if err := CheckProtocol(Protocol(name), p.OwnProtocols); err != nil {
			return err.Error(), []string{"policy", "sessions", name}
		}
		if p.Sessions[name].Duration > maxSession {
			return `expected at most "366d"`, []string{"policy", "sessions", name}
		}
	}
	return "", nil
}

// checkInvite finds links that lead nowhere or that nothing can mail.
func (c Config) checkInvite() (problem string) {
	switch {
	case c.Policy.Unenrolled != Invite:
		return ""
	case c.Portal == nil:
		return `expected a table [portal] beside "invite": its url is where the links lead`
	case c.Email == nil:
		return `expected a table [email] beside "invite": it says how the links are mailed`
	}
	return ""
}

func within(n, low, high int) bool { return low <= n && n <= high }

// validIssuer keeps the label of an otpauth URI unambiguous: the colon
// divides issuer and account there.
func validIssuer(issuer string) bool {
	return len(issuer) <= 64 && utf8.ValidString(issuer) &&
		!strings.ContainsFunc(issuer, func(r rune) bool { return !unicode.IsPrint(r) || r == ':' })
}

// validMetrics keeps the figures on the machine: they tell who is under attack.
func validMetrics(address string) bool {
	if path, found := strings.CutPrefix(address, "unix:"); found {
		return filepath.IsAbs(path)
	}
	port, err := netip.ParseAddrPort(address)
	return address == "" || err == nil && port.Addr().IsLoopback() && port.Port() != 0
}
