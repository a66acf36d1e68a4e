// Package config reads /etc/otpgate/otpgate.toml.
//
// The entry point is [Load]. It promises that a missing file at the default
// place means the defaults, that a file with any mistake is an error which
// names file, line and key, and that a file which others than its owner can
// write is not believed.
package config

import (
	"errors"
	"io/fs"
	"time"

	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/tomlfile"
)

// DefaultPath is read where no other file is named.
const DefaultPath = "/etc/otpgate/otpgate.toml"

// maxSize is far above any configuration. It bounds what explaining a mistake
// in one costs.
const maxSize = 64 << 10

// Config is the whole file.
type Config struct {
	Policy Policy `toml:"policy"`
	// Services says which protocol a PAM service is. What protocol= in pam.d
	// says wins. For any other service a code is always asked.
	Services map[string]Protocol `toml:"services"`
	Paths    Paths               `toml:"paths"`
	TOTP     TOTP                `toml:"totp"`
	HOTP     HOTP                `toml:"hotp"`
	Secrets  Secrets             `toml:"secrets"`
	Sent     Sent                `toml:"sent"`
	Verifier Verifier            `toml:"verifier"`
	SFTP     SFTP                `toml:"sftp"`
	// Email and SMS are nil where the file has no such table: then nothing is
	// sent that way.
	Email *Email `toml:"email"`
	SMS   *SMS   `toml:"sms"`
	// Remote is nil unless this machine is a client, Gateway unless it is a server.
	Remote  *Remote  `toml:"remote"`
	Gateway *Gateway `toml:"gateway"`
	// Ledger is nil where the ledger is files in Paths.State.
	Ledger *Ledger `toml:"ledger"`
	// Portal is nil where nobody is invited to enroll on a page.
	Portal *Portal `toml:"portal"`
}

// Policy says who must give a code, and where.
type Policy struct {
	// Require names the people who must give a code even if they have not
	// enrolled: names, "@group" or "@all". Enrolled people are asked anyway.
	Require []Selector `toml:"require"`
	// Exempt names accounts that are never asked. It wins over Require.
	Exempt []Selector `toml:"exempt"`
	// Protocols are those on which codes are asked: all, or some of ssh, sftp,
	// ftp, ftps, http, https, webdav, sudo, su, login and OwnProtocols.
	Protocols []Protocol `toml:"protocols"`
	// OwnProtocols declares names for services that have none of these, such as
	// "vpn" or "cockpit". They may be used wherever a protocol is named, and have up to
	// 32 of a-z, 0-9 and -, beginning with a letter.
	OwnProtocols []Protocol `toml:"own_protocols"`
	// TrustedNetworks are addresses from which no code is asked. A remote
	// host that is a name never matches (CVE-2024-10963).
	TrustedNetworks []Network `toml:"trusted_networks"`
	// Unenrolled says what happens to people who must give a code and have
	// none to give: "refuse", "allow", "enroll" at the login, or "invite", which mails
	// a link to the page of the table portal and refuses.
	Unenrolled Unenrolled `toml:"unenrolled"`
	// Grace is how long such people are let in nevertheless, and told to enroll: a
	// span that begins with the person's first such login, or the last day, such
	// as "2026-12-31".
	Grace Grace `toml:"grace"`
	// Session is how long a passed code is remembered for the person, the
	// protocol and the address, up to a year; 0 means not at all. Sessions sets it
	// for single protocols.
	Session  Duration            `toml:"session"`
	Sessions map[string]Duration `toml:"sessions"`
	// Attempts limits wrong codes.
	Attempts Attempts `toml:"attempts"`
}

// Attempts limits wrong codes. Right ones are never counted.
type Attempts struct {
	// PerLogin is how often one login asks, 1 to 20.
	PerLogin int `toml:"per_login"`
	// PerWindow is how many wrong codes lock a person's logins, 1 to 1000.
	PerWindow int `toml:"per_window"`
	// PerSource is how many wrong codes, whoever they are for, lock an address
	// (IPv6: a /64 network), 1 to 100000. It is larger, as many people may share an
	// address.
	PerSource int `toml:"per_source"`
	// Window is how long the first lock lasts, a minute to a day. Each
	// further one without a right code in between lasts twice as long, up to
	// a day.
	Window Duration `toml:"window"`
}

// Paths says where everything is. All are absolute.
type Paths struct {
	// Users is the directory of the secret files.
	Users string `toml:"users"`
	// State is the directory of the ledger.
	State string `toml:"state"`
	// Socket is where the resident verifier listens.
	Socket string `toml:"socket"`
	// BreakGlass is the directory of the files with the hashes of break-glass codes.
	BreakGlass string `toml:"break_glass"`
	// Sender is the command that a forked core runs to send a code. Empty:
	// libexec/otpgate/otpgate-send below /usr/local or /usr.
	Sender string `toml:"sender"`
}

// Verifier is about the resident verifier.
type Verifier struct {
	// Allow names the users whose programs may ask for anybody, as root's may:
	// those that servers without root's rights run as.
	Allow []string `toml:"allow"`
	// Metrics is where figures for Prometheus are served, "" for nowhere: a
	// loopback address with a port, or "unix:" and an absolute path.
	Metrics string `toml:"metrics"`
}

// TOTP holds what newly enrolled authenticator apps are given, and how far
// their clocks may be off.
type TOTP struct {
	// Issuer is the name that the app shows. Empty: the machine's host name.
	Issuer string `toml:"issuer"`
	// Digits (6 to 8), Period (15 to 300 seconds) and Algorithm (SHA1, SHA256 or
	// SHA512) are for new enrollments; each secret file keeps its own. Many apps
	// know no algorithm but SHA1.
	Digits    int    `toml:"digits"`
	Period    int    `toml:"period"`
	Algorithm string `toml:"algorithm"`
	// Window is how many time steps before and after the current one are
	// accepted, 0 to 10 (RFC 6238 section 5.2 recommends at most 1).
	Window int `toml:"window"`
}

// HOTP holds what newly enrolled tokens with a counter are given, and how far
// they may be ahead.
type HOTP struct {
	// Digits (6 to 8) and Algorithm (SHA1, SHA256 or SHA512) are for new
	// enrollments; each secret file keeps its own.
	Digits    int    `toml:"digits"`
	Algorithm string `toml:"algorithm"`
	// Window is how many codes a token may have shown that were not given, 0
	// to 100 (RFC 4226 section 7.4: the look-ahead window).
	Window int `toml:"window"`
}

// SessionFor is how long a code that was passed on protocol is remembered.
func (p Policy) SessionFor(protocol Protocol) time.Duration {
	if span, set := p.Sessions[string(protocol)]; set {
		return span.Duration
	}
	return p.Session.Duration
}

// Default returns what holds without a file: people who are enrolled are
// asked, nobody else is.
func Default() Config {
	return Config{
		Policy: Policy{
			Protocols:  AllProtocols(),
			Unenrolled: Refuse,
			Attempts:   Attempts{PerLogin: 3, PerWindow: 10, PerSource: 100, Window: Duration{10 * time.Minute}},
		},
		Services: map[string]Protocol{
			"sshd": "ssh", "vsftpd": "ftp", "proftpd": "ftp", "sudo": "sudo", "sudo-i": "sudo",
			"doas": "sudo", "polkit-1": "sudo", "systemd-run0": "sudo", "su": "su", "su-l": "su", "login": "login", "remote": "login", "otpgate-sftpd": "sftp",
		},
		Paths: Paths{
			Users:      "/etc/otpgate/users",
			State:      "/var/lib/otpgate",
			Socket:     "/run/otpgate/verifier.sock",
			BreakGlass: "/etc/otpgate/break-glass",
		},
		TOTP: TOTP{Digits: 6, Period: 30, Algorithm: "SHA1", Window: 1},
		HOTP: HOTP{Digits: 6, Algorithm: "SHA1", Window: 20},
		Sent: defaultSent(),
		SFTP: defaultSFTP(),
	}
}

// Load reads the file at path, an absolute path. An empty path means
// DefaultPath, which alone may be missing.
func Load(path string) (Config, error) {
	mayBeMissing := path == ""
	if mayBeMissing {
		path = DefaultPath
	}
	data, err := safefile.Read(path, safefile.Rules{Forbidden: 0o022, MaxSize: maxSize})
	if mayBeMissing && errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	if err != nil {
		return Config{}, err
	}
	config, err := Parse(path, data)
	if err != nil {
		return Config{}, err
	}
	if problem, key := config.checkFiles(); problem != "" {
		return Config{}, tomlfile.At(path, data, problem, key...)
	}
	return config, nil
}

// Parse reads data, the contents of the file at path, over the defaults. It
// does not look at the files that data names; Load does.
func Parse(path string, data []byte) (Config, error) {
	config := Default()
	// A list in the file replaces the default list, it does not add to it.
	config.Policy.Protocols = nil
	services := config.Services
	config.Services = nil
	lists := config.SFTP
	config.SFTP.Listen, config.SFTP.HostKeys, config.SFTP.AuthorizedKeys, config.SFTP.CodeAfter = nil, nil, nil, nil
	config.Email, config.SMS = defaultEmail(), defaultSMS()
	config.Remote, config.Gateway, config.Ledger = defaultRemote(), defaultGateway(), defaultLedger()
	config.Portal = defaultPortal()
	if err := tomlfile.Decode(path, data, &config); err != nil {
		return Config{}, err
	}
	config.dropAbsent(data)
	for service, protocol := range config.Services {
		services[service] = protocol
	}
	config.Services = services
	if config.Policy.Protocols == nil {
		config.Policy.Protocols = config.Policy.AllProtocols()
	}
	config.SFTP.fill(lists)
	problem, key := config.checkClient(data)
	if problem == "" {
		problem, key = config.check()
	}
	if problem != "" {
		return Config{}, tomlfile.At(path, data, problem, key...)
	}
	if config.Ledger != nil && config.Ledger.People {
		config.Secrets.Required = true
	}
	return config, nil
}
