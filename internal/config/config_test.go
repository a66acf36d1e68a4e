package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// whole is the example of the documentation without what is yet to come.
const whole = `
[policy]
require   = ["@all"]
exempt    = ["backup", "@robots"]
protocols = ["ssh", "sftp"]
trusted_networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]
unenrolled = "allow"
grace     = "14d"
session   = "90d"
sessions  = { ftp = "1d", sudo = "0s" }
attempts  = { per_login = 2, per_window = 5, window = "1h" }

[services]
sshd = "ssh"
myftpd = "ftps"

[paths]
users  = "/srv/users"
state  = "/srv/state"
socket = "/srv/socket"

[totp]
issuer = "example.com"
digits = 8
period = 60
algorithm = "SHA256"
window = 2

[hotp]
digits = 7
window = 5
`

func TestParseWhole(t *testing.T) {
	config, err := Parse("otpgate.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Policy.Protocols) != 2 || config.Policy.Unenrolled != Allow || config.Policy.Require[0] != All ||
		config.Policy.Exempt[1].Group() != "robots" || len(config.Policy.TrustedNetworks) != 3 {
		t.Errorf("policy: %+v", config.Policy)
	}
	if a := config.Policy.Attempts; a.PerLogin != 2 || a.PerWindow != 5 || a.PerSource != 100 || a.Window.Duration != time.Hour {
		t.Errorf("attempts: %+v", a)
	}
	if p := config.Policy; p.Grace.For != 14*24*time.Hour || p.SessionFor("ssh") != 90*24*time.Hour || p.SessionFor("ftp") != 24*time.Hour || p.SessionFor("sudo") != 0 {
		t.Errorf("grace %+v, session %v, sessions %v", p.Grace, p.Session, p.Sessions)
	}
	if h := config.HOTP; h.Digits != 7 || h.Window != 5 || h.Algorithm != "SHA1" {
		t.Errorf("hotp: %+v", h)
	}
	if config.Services["myftpd"] != "ftps" || config.Services["sudo"] != "sudo" {
		t.Errorf("services: %v", config.Services)
	}
	if config.Paths.State != "/srv/state" || config.TOTP.Digits != 8 || config.TOTP.Algorithm != "SHA256" || config.TOTP.Window != 2 {
		t.Errorf("paths %+v, totp %+v", config.Paths, config.TOTP)
	}
}

// A date means the whole of that day.
func TestGraceUntilADay(t *testing.T) {
	config, err := Parse("f", []byte("[policy]\ngrace = '2026-12-31'\n"))
	want := time.Date(2027, 1, 1, 0, 0, 0, 0, time.Local)
	if err != nil || !config.Policy.Grace.Until.Equal(want) || config.Policy.Grace.For != 0 {
		t.Errorf("found %+v, %v; expected until %v", config.Policy.Grace, err, want)
	}
}

func TestParseNothingIsDefault(t *testing.T) {
	config, err := Parse("otpgate.toml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Policy.Protocols) != len(AllProtocols()) || config.Policy.Unenrolled != Refuse || len(config.Policy.Require) != 0 {
		t.Errorf("%+v", config.Policy)
	}
}

// refusedTexts are configurations with a mistake, and what is said of it.
var refusedTexts = []struct{ text, want string }{
	{"[policy]\nrequir = []\n", "f:2: policy.requir: unknown key, expected one of attempts, exempt, grace, own_protocols, protocols"},
	{"[policy]\nrequire = ['']\n", "f:2: policy.require: expected a login name"},
	{"[policy]\nrequire = [\"CORP\\tom\"]\n", `f:2: policy.require: "CORP\tom" has a character that cannot be printed; expected a name, and one with a backslash in 'single quotes'`},
	{"[policy]\n\nexempt = ['alice', \"@CORP\\robots\"]\n", `f:3: policy.exempt: "@CORP\robots" has a character`},
	{"[policy]\nexempt = [\"a\\u200Bb\"]\n", `f:2: policy.exempt: "a\u200bb" has a character`},
	{"[verifier]\nallow = [\"CORP\\network\"]\n", `f:2: verifier.allow: "CORP\network" has a character`},
	{"[services]\n\"s\\fhd\" = 'ssh'\n", `f:2: services.`},
	{"[sftp]\nfront_user = \"CORP\\front\"\n", `f:2: sftp.front_user: "CORP\front" has a character`},
	{"[sftp]\npam_service = \"a\\nb\"\n", `f:2: sftp.pam_service: "a\nb" has a character`},
	{"[policy]\nunenrolled = ''\n", `f:2: policy.unenrolled: expected "enroll", "invite", "refuse" or "allow"`},
	{"[polcy]\n", "f:1: polcy: unknown key"},
	{"[policy]\nrequire = 'alice'\n", "f:2: policy.require: expected a list of texts"},
	{"[policy]\nrequire = ['@']\n", `f:2: policy.require: expected a login name, "@group" or "@all"`},
	{"[policy]\nprotocols = ['shh']\n", "f:2: policy.protocols: expected a protocol, one of ssh, sftp, ftp"},
	{"[policy]\nprotocols = []\n", "f:2: policy.protocols: the list is empty"},
	{"[policy]\ntrusted_networks = ['example.com']\n", "f:2: policy.trusted_networks: expected an address or network in numbers"},
	{"[policy]\ntrusted_networks = ['10.0.0.1/8']\n", `f:2: policy.trusted_networks: expected a network without host bits; did you mean "10.0.0.0/8"?`},
	{"[policy]\nunenrolled = 'invite'\n[email]\nsmtp = 'smtps://h'\nfrom = 'a@h'\n", `f:2: policy.unenrolled: expected a table [portal] beside "invite": its url is where the links lead`},
	{"[policy]\nunenrolled = 'invite'\n[portal]\nurl = 'https://h'\n", `f:2: policy.unenrolled: expected a table [email] beside "invite": it says how the links are mailed`},
	{"[policy]\nunenrolled = 'ignore'\n", `f:2: policy.unenrolled: expected "enroll", "invite", "refuse" or "allow"`},
	{"[policy]\ngrace = '2026-13-31'\n", `f:2: policy.grace: expected a number and a unit, such as "14d", or the last day`},
	{"[policy]\ngrace = 2026-12-31\n", "f:2: policy.grace: expected a text in quotes"},
	{"[policy]\n\nsession = '400d'\n", `f:3: policy.session: expected at most "366d"`},
	{"[policy]\nsessions = { fpt = '1d' }\n", "f:2: policy.sessions.fpt: expected a protocol, one of ssh"},
	{"[policy.sessions]\nssh = '1d'\nftp = '400d'\n", `f:3: policy.sessions.ftp: expected at most "366d"`},
	{"[policy.sessions]\nssh = 5\n", `f:2: policy.sessions.ssh: expected a number and a unit`},
	{"[hotp]\nwindow = 101\n", "f:2: hotp.window: expected 0 to 100 codes"},
	{"[hotp]\ndigits = 9\n", "f:2: hotp.digits: expected 6, 7 or 8"},
	{"[verifier]\nallow = 'www-data'\n", "f:2: verifier.allow: expected a list of texts"},
	{"[verifier]\nmetrics = '0.0.0.0:9151'\n", "f:2: verifier.metrics: expected a loopback address and port"},
	{"[verifier]\nmetrics = 'unix:metrics'\n", "f:2: verifier.metrics: expected a loopback address and port"},
	{"[policy]\nattempts = { per_login = 0 }\n", "f:2: policy.attempts.per_login: expected 1 to 20"},
	{"[policy]\nattempts = { per_windows = 1 }\n", "f:2: policy.attempts.per_windows: unknown key"},
	{"[policy.attempts]\nwindow = '10'\n", "f:2: policy.attempts.window: expected a number and a unit"},
	{"[policy.attempts]\nwindow = 600\n", `f:2: policy.attempts.window: expected a number and a unit, such as "30s"`},
	{"[policy.attempts]\nwindow = '0s'\n", `f:2: policy.attempts.window: expected "1m" to "1d"`},
	{"[services]\nsshd = 'telnet'\n", "f:2: services.sshd: expected a protocol"},
	{"[policy]\nown_protocols = ['vpn']\nprotocols = ['ssh', 'vnp']\n", "f:3: policy.protocols: expected a protocol, one of ssh, sftp, ftp, ftps, http, https, webdav, sudo, su, login, vpn; policy.own_protocols declares more"},
	{"[policy]\nown_protocols = ['vpn']\nsessions = { vnp = '1d' }\n", "f:3: policy.sessions.vnp: expected a protocol, one of ssh"},
	{"[services]\ncockpit = 'cockpit'\n[policy]\nown_protocols = ['vpn']\n", "f:2: services.cockpit: expected a protocol, one of ssh"},
	{"[policy]\nown_protocols = ['vpn', 'ssh']\n", "f:2: policy.own_protocols: ssh is built in"},
	{"[policy]\nown_protocols = ['vpn', 'vpn']\n", "f:2: policy.own_protocols: vpn is there twice"},
	{"[policy]\nown_protocols = ['VPN']\n", "f:2: policy.own_protocols: expected up to 32 of a-z, 0-9 and -, a letter first"},
	{"[policy]\nown_protocols = ['']\n", "f:2: policy.own_protocols: expected up to 32 of"},
	{"[policy]\nown_protocols = ['-vpn']\n", "f:2: policy.own_protocols: expected up to 32 of"},
	{"[policy]\nown_protocols = ['" + strings.Repeat("v", 33) + "']\n", "f:2: policy.own_protocols: expected up to 32 of"},
	{"[paths]\nusers = 'users'\n", "f:2: paths.users: expected an absolute path"},
	{"[totp]\ndigits = 5\n", "f:2: totp.digits: expected 6, 7 or 8"},
	{"[totp]\nalgorithm = 'MD5'\n", `f:2: totp.algorithm: expected "SHA1", "SHA256" or "SHA512"`},
	{"[totp]\nwindow = 11\n", "f:2: totp.window: expected 0 to 10 steps"},
	{"[totp]\nissuer = \"a\\u009bb\"\n", "f:2: totp.issuer: expected up to 64 printable"},
	{"[totp]\nissuer = 'a:b'\n", "f:2: totp.issuer: expected up to 64 printable"},
	{"[totp]\nperiod = 'x'\n", "f:2: totp.period: expected a whole number"},
	{"[policy\n", "f:1: not valid TOML"},
}

func TestParseRefuses(t *testing.T) {
	for _, test := range refusedTexts {
		_, err := Parse("f", []byte(test.text))
		if err == nil {
			t.Errorf("%q was accepted", test.text)
		} else if !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q:\n got %s\nwant %s", test.text, err, test.want)
		}
	}
}

func TestLoadChecksTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "otpgate.toml")
	if _, err := Load(path); err == nil {
		t.Error("a named file that is missing was taken as the defaults")
	}
	write := func(mode os.FileMode) {
		os.Remove(path)
		if err := os.WriteFile(path, []byte(whole), mode); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, mode)
	}
	write(0o644)
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		want string
		make func()
	}{
		{"mode 0666, expected at most 0644", func() { write(0o666) }},
		{"owned by uid 4711, expected root", func() { write(0o644); os.Chown(path, 4711, 0) }},
		{"symbolic link", func() {
			os.Remove(path)
			os.WriteFile(path+".real", []byte(whole), 0o644)
			os.Symlink(path+".real", path)
		}},
		{"it is a FIFO", func() { os.Remove(path); unix.Mkfifo(path, 0o644) }},
		{"it is a directory", func() { os.Remove(path); os.Mkdir(path, 0o755) }},
	} {
		test.make()
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want %s: … %s", err, path, test.want)
		}
	}
	os.Chmod(dir, 0o777)
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "lets others write in it") {
		t.Errorf("a directory others can write: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("[policy]\nattempts = { per_login = 2 }"))
	f.Add([]byte(sending))
	f.Add([]byte("[sms]\npreset = 'twilio'\nusername = '" + sid + "'\npassword_file = '/f'\nfrom = 'x'"))
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := Parse("f", data)
		if err != nil {
			return
		}
		if problem, key := config.check(); problem != "" {
			t.Errorf("accepted with %v: %s", key, problem)
		}
	})
}
