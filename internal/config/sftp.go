package config

import (
	"errors"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SFTP is about the SFTP server.
type SFTP struct {
	// Listen are addresses and ports; "" before the colon is every address.
	// Sockets that systemd passes take their place.
	Listen []string `toml:"listen"`
	// HostKeys are files of private keys, one of each kind. One that is missing
	// is made if it is called ssh_host_ed25519_key, ssh_host_ecdsa_key or
	// ssh_host_rsa_key; with the default list, none is made if only an ed25519 key
	// is there.
	HostKeys []string `toml:"host_keys"`
	// HostKeysNamed says that the file has such a list.
	HostKeysNamed bool `toml:"-"`
	// PAMService names the stack of the password, the account and the session.
	PAMService string `toml:"pam_service"`
	// AuthorizedKeys are files with a person's keys, below the home directory or
	// absolute; %u is the person's name, %h the home directory, %% a percent sign.
	AuthorizedKeys []string `toml:"authorized_keys"`
	// KeysCommand is asked for a person's keys where the files have none
	// that fits, as sshd's: a program's absolute path and its arguments, in which
	// %u is the person's name, %U the uid, %h the home directory, %t the type of
	// the key, %k the key in base64, %f its fingerprint. Empty is none.
	KeysCommand []string `toml:"keys_command"`
	// KeysCommandUser is the user whom it runs as, not root.
	KeysCommandUser string `toml:"keys_command_user"`
	// TrustedUserCAKeys is a file of public keys, one a line, whose certificates
	// let in the people that they name; "" is none.
	TrustedUserCAKeys string `toml:"trusted_user_ca_keys"`
	// RevokedKeys is a file of public keys, one a line, that let nobody in; nor do
	// certificates for them or signed by them. "" is none.
	RevokedKeys string `toml:"revoked_keys"`
	// CodeAfter are the first factors that a code is asked after: "password",
	// "publickey", or both; with an empty list nobody is asked.
	CodeAfter []FirstFactor `toml:"code_after"`
	// UnprovenKeys says what becomes of keys whose signature only the process
	// that speaks with the client can see: "with-code" takes them where a code is
	// given too, "refuse" never, "allow" always.
	UnprovenKeys UnprovenKeys `toml:"unproven_keys"`
	// Root is a directory that people are locked into, with %u and %h as above;
	// "" is none.
	Root string `toml:"root"`
	// StartDirectory is where relative paths begin instead of in the home
	// directory, as seen below Root, with %u and %h as above; a relative one is
	// below the home directory. "" is the home directory.
	StartDirectory string `toml:"start_directory"`
	// Worker says whether sessions share a process: "session" gives each
	// connection its own, "user" all of one person's the same.
	Worker WorkerPer `toml:"worker"`
	// Fronts is how many processes speak with clients, up to 256; 0 is one per
	// processor.
	Fronts int `toml:"fronts"`
	// FrontUser is whom they run as.
	FrontUser string `toml:"front_user"`
	// Umask is taken off the permissions of what is new; "" leaves it to PAM.
	Umask Umask `toml:"umask"`
	// ReadOnly refuses every change.
	ReadOnly bool `toml:"read_only"`
	// Deny are patterns as in a shell; a path or a name that one matches is refused.
	Deny Patterns `toml:"deny"`
	// AllowRoot lets uid 0 log in.
	AllowRoot bool `toml:"allow_root"`
	// Banner is a file that is shown before the login; "" is none.
	Banner string `toml:"banner"`
	// ProxyProtocol are addresses whose connections begin with a header of the
	// PROXY protocol.
	ProxyProtocol []Network `toml:"proxy_protocol"`
	// Metrics is where figures for Prometheus are served, as in [verifier].
	Metrics string     `toml:"metrics"`
	Limits  SFTPLimits `toml:"limits"`
}

// SFTPLimits bound what clients take.
type SFTPLimits struct {
	// MaxStartups is how many connections may be at their login at once, and
	// StartupsPerSource from one address (IPv6: a /64).
	MaxStartups       int `toml:"max_startups"`
	StartupsPerSource int `toml:"startups_per_source"`
	// Penalties turns addresses away that keep failing, up to 10 minutes.
	Penalties bool `toml:"penalties"`
	// PenaltyExempt are addresses and networks that are never turned away for
	// that, such as those of a monitoring system or of many people behind one
	// address. The other limits hold for them.
	PenaltyExempt []Network `toml:"penalty_exempt"`
	// LoginGrace is how long a login may take, a second to an hour.
	LoginGrace Duration `toml:"login_grace"`
	// IdleTimeout ends a connection on which nothing was asked for that long; 0
	// is never.
	IdleTimeout Duration `toml:"idle_timeout"`
	// Keepalive is how often a client is asked whether it is there; one that sends
	// nothing for four times that long is cut off. 0 is never.
	Keepalive Duration `toml:"keepalive"`
	// SessionsPerUser is how many connections a person may have; 0 is any number.
	SessionsPerUser int `toml:"sessions_per_user"`
	// Bandwidth is how many bytes of file data a second a person may move in one
	// direction; 0 is any number.
	Bandwidth int64 `toml:"bandwidth"`
}

// FirstFactor is what a login begins with.
type FirstFactor string

// The first factors.
const (
	PasswordFirst  FirstFactor = "password"
	PublicKeyFirst FirstFactor = "publickey"
)

// UnmarshalText checks the name.
func (f *FirstFactor) UnmarshalText(text []byte) error {
	return choose(f, text, PasswordFirst, PublicKeyFirst)
}

// UnprovenKeys says what becomes of such keys. The zero value refuses.
type UnprovenKeys string

// The choices.
const (
	RefuseUnproven UnprovenKeys = "refuse"
	WithCode       UnprovenKeys = "with-code" // good where a code is given too
	AllowUnproven  UnprovenKeys = "allow"
)

// UnmarshalText checks the choice.
func (u *UnprovenKeys) UnmarshalText(text []byte) error {
	return choose(u, text, WithCode, RefuseUnproven, AllowUnproven)
}

// WorkerPer says what has a worker of its own.
type WorkerPer string

// The choices.
const (
	PerSession WorkerPer = "session"
	PerUser    WorkerPer = "user"
)

// UnmarshalText checks the choice.
func (w *WorkerPer) UnmarshalText(text []byte) error {
	return choose(w, text, PerSession, PerUser)
}

// Umask is an octal number. The zero value is not set.
type Umask struct {
	Set  bool
	Mask uint32
}

// UnmarshalText reads octal digits.
func (u *Umask) UnmarshalText(text []byte) error {
	mask, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || mask > 0o777 {
		return errors.New(`expected octal digits, such as "022"`)
	}
	*u = Umask{true, uint32(mask)}
	return nil
}

// Pattern is as path.Match takes it.
type Pattern string

// UnmarshalText checks the form.
func (p *Pattern) UnmarshalText(text []byte) error {
	if _, err := path.Match(string(text), ""); err != nil || len(text) == 0 {
		return errors.New(`expected a pattern such as "*.exe" or "/srv/private/*"`)
	}
	*p = Pattern(text)
	return nil
}

// Patterns are several.
type Patterns []Pattern

// Texts are the patterns as they were written.
func (p Patterns) Texts() []string {
	texts := make([]string, len(p))
	for i, pattern := range p {
		texts[i] = string(pattern)
	}
	return texts
}

func defaultSFTP() SFTP {
	return SFTP{
		Listen:         []string{":2022"},
		HostKeys:       []string{"/etc/otpgate/sftpd/ssh_host_rsa_key", "/etc/otpgate/sftpd/ssh_host_ecdsa_key", "/etc/otpgate/sftpd/ssh_host_ed25519_key"},
		PAMService:     "otpgate-sftpd",
		AuthorizedKeys: []string{".ssh/authorized_keys"},
		CodeAfter:      []FirstFactor{PasswordFirst, PublicKeyFirst},
		UnprovenKeys:   WithCode,
		Worker:         PerSession,
		FrontUser:      "otpgate-sftpd",
		Limits: SFTPLimits{
			MaxStartups: 100, StartupsPerSource: 20, Penalties: true,
			LoginGrace: Duration{2 * time.Minute}, Keepalive: Duration{time.Minute},
		},
	}
}

// fill gives the lists that the file does not have their defaults. An empty one
// that it has stays empty.
func (s *SFTP) fill(defaults SFTP) {
	if s.Listen == nil {
		s.Listen = defaults.Listen
	}
	if s.HostKeysNamed = s.HostKeys != nil; !s.HostKeysNamed {
		s.HostKeys = defaults.HostKeys
	}
	if s.AuthorizedKeys == nil {
		s.AuthorizedKeys = defaults.AuthorizedKeys
	}
	if s.CodeAfter == nil {
		s.CodeAfter = defaults.CodeAfter
	}
}

func (s SFTP) check() (problem string, key []string) {
	for _, test := range []struct {
		ok   bool
		want string
		key  []string
	}{
		{len(s.Listen) > 0 && !slices.ContainsFunc(s.Listen, func(a string) bool { return !validListen(a) }), `expected addresses and ports, such as ":2022" or "192.0.2.1:22"`, []string{"listen"}},
		{len(s.HostKeys) > 0 && allAbsolute(s.HostKeys), "expected absolute paths", []string{"host_keys"}},
		{s.PAMService != "" && !strings.ContainsAny(s.PAMService, "/ "), "expected the name of a file in /etc/pam.d", []string{"pam_service"}},
		{!slices.ContainsFunc(s.AuthorizedKeys, func(p string) bool { return !validExpansion(p) }), "expected paths in which only %u, %h and %% are replaced", []string{"authorized_keys"}},
		{len(s.KeysCommand) == 0 || validCommand(s.KeysCommand), `expected a list of a program's absolute path and its arguments, such as ["/usr/bin/sss_ssh_authorizedkeys", "%u"], in which only %u, %U, %h, %t, %k, %f and %% are replaced`, []string{"keys_command"}},
		{len(s.KeysCommand) == 0 || !slices.Contains([]string{"", "root", s.FrontUser}, s.KeysCommandUser), "expected the user whom keys_command runs as, neither root nor front_user", []string{"keys_command_user"}},
		{s.TrustedUserCAKeys == "" || filepath.IsAbs(s.TrustedUserCAKeys), "expected an absolute path", []string{"trusted_user_ca_keys"}},
		{s.RevokedKeys == "" || filepath.IsAbs(s.RevokedKeys), "expected an absolute path", []string{"revoked_keys"}},
		{s.Root == "" || validExpansion(s.Root) && (filepath.IsAbs(s.Root) || strings.HasPrefix(s.Root, "%h")), "expected an absolute path in which only %u, %h and %% are replaced", []string{"root"}},
		{s.StartDirectory == "" || validExpansion(s.StartDirectory), "expected a path in which only %u, %h and %% are replaced", []string{"start_directory"}},
		{within(s.Fronts, 0, 256), "expected 0 to 256", []string{"fronts"}},
		{s.FrontUser != "", "expected the name of a user", []string{"front_user"}},
		{s.Banner == "" || filepath.IsAbs(s.Banner), "expected an absolute path", []string{"banner"}},
		{validMetrics(s.Metrics), `expected a loopback address and port, such as "127.0.0.1:9152", or "unix:/path"`, []string{"metrics"}},
		{within(s.Limits.MaxStartups, 1, 100000), "expected 1 to 100000", []string{"limits", "max_startups"}},
		{within(s.Limits.StartupsPerSource, 1, 100000), "expected 1 to 100000", []string{"limits", "startups_per_source"}},
		{s.Limits.LoginGrace.Duration >= time.Second && s.Limits.LoginGrace.Duration <= time.Hour, `expected "1s" to "1h"`, []string{"limits", "login_grace"}},
		{within(s.Limits.SessionsPerUser, 0, 100000), "expected 0 to 100000", []string{"limits", "sessions_per_user"}},
		{s.Limits.Bandwidth >= 0, "expected bytes a second, 0 for any number", []string{"limits", "bandwidth"}},
	} {
		if !test.ok {
			return test.want, test.key
		}
	}
	return "", nil
}

// validListen takes what net.Listen does, without names: those are somebody
// else's to change.
func validListen(address string) bool {
	host, port, found := cutLast(address, ':')
	n, err := strconv.ParseUint(port, 10, 16)
	if !found || err != nil || n == 0 {
		return false
	}
	if host == "" {
		return true
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	_, err = netip.ParseAddr(host)
	return err == nil
}

func cutLast(text string, separator byte) (before, after string, found bool) {
	i := strings.LastIndexByte(text, separator)
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+1:], true
}

func allAbsolute(paths []string) bool {
	return !slices.ContainsFunc(paths, func(p string) bool { return !filepath.IsAbs(p) })
}

// validCommand takes a program whose path is the same for everybody.
func validCommand(command []string) bool {
	tokens := strings.NewReplacer("%%", "", "%u", "", "%U", "", "%h", "", "%t", "", "%k", "", "%f", "")
	return filepath.IsAbs(command[0]) && !strings.Contains(command[0], "%") &&
		!slices.ContainsFunc(command, func(argument string) bool {
			return strings.Contains(tokens.Replace(argument), "%") || strings.Contains(argument, "\x00")
		})
}

func validExpansion(path string) bool {
	rest := strings.NewReplacer("%%", "", "%u", "", "%h", "").Replace(path)
	return path != "" && !strings.Contains(rest, "%")
}

// Expand puts a person's name and home directory into a path that check let
// pass.
func Expand(path, user, home string) string {
	return strings.NewReplacer("%%", "%", "%u", user, "%h", home).Replace(path)
}
