package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestSFTP(t *testing.T) {
	c, err := Parse("f", []byte(`
[sftp]
listen = ["127.0.0.1:22", "[::1]:2222"]
code_after = []
unproven_keys = "refuse"
root = "/srv/%u"
worker = "user"
umask = "027"
deny = [".ssh", "/srv/*/private"]
proxy_protocol = ["10.0.0.1"]
[sftp.limits]
bandwidth = 1000
login_grace = "30s"
penalty_exempt = ["192.0.2.0/24", "2001:db8::7"]
`))
	if err != nil {
		t.Fatal(err)
	}
	s := c.SFTP
	if len(s.Listen) != 2 || len(s.CodeAfter) != 0 || s.UnprovenKeys != RefuseUnproven || s.Worker != PerUser || !s.Umask.Set || s.Umask.Mask != 0o27 || len(s.Deny.Texts()) != 2 ||
		len(s.Limits.PenaltyExempt) != 2 || !s.Limits.PenaltyExempt[0].Contains(netip.MustParseAddr("192.0.2.200")) {
		t.Errorf("%+v", s)
	}
	// What the file leaves out is as it is without a file.
	if s.PAMService != "otpgate-sftpd" || len(s.HostKeys) != 3 || len(s.AuthorizedKeys) != 1 || !s.Limits.Penalties || s.Limits.MaxStartups != 100 || s.Limits.LoginGrace.Duration != 30*time.Second {
		t.Errorf("%+v", s)
	}
	if path := Expand("%h/%u/100%%", "alice", "/home/a%u"); path != "/home/a%u/alice/100%" {
		t.Errorf("expanded to %q", path)
	}
	if c, err := Parse("f", []byte("[sftp]\nhost_keys = ['/k']\n")); err != nil || len(c.SFTP.HostKeys) != 1 || !c.SFTP.HostKeysNamed || s.HostKeysNamed {
		t.Errorf("host keys that are named: %+v, %v", c.SFTP, err)
	}
	if d, err := Parse("f", nil); err != nil || len(d.SFTP.CodeAfter) != 2 || d.SFTP.UnprovenKeys != WithCode || d.SFTP.Worker != PerSession || d.SFTP.AllowRoot {
		t.Errorf("defaults: %+v, %v", d.SFTP, err)
	}
}

func TestSFTPRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"lissten = []", "f:2: sftp.lissten: unknown key"},
		{"listen = []", "sftp.listen: expected addresses"},
		{"listen = ['localhost:22']", "f:2: sftp.listen: expected addresses"},
		{"listen = [':0']", "sftp.listen: expected addresses"},
		{"host_keys = []", "sftp.host_keys: expected absolute"},
		{"host_keys = ['key']", "sftp.host_keys: expected absolute"},
		{"pam_service = '../x'", "sftp.pam_service: expected the name"},
		{"code_after = ['code']", `sftp.code_after`},
		{"unproven_keys = ''", "sftp.unproven_keys: expected"},
		{"worker = 'thread'", `sftp.worker: expected "session" or "user"`},
		{"root = 'srv'", "sftp.root: expected an absolute path"},
		{"root = '/srv/%x'", "sftp.root: expected an absolute path"},
		{"keys_command = '/usr/bin/keys'", "sftp.keys_command"},
		{"keys_command = ['keys']\nkeys_command_user = 'nobody'", "f:2: sftp.keys_command: expected a list of a program's absolute path"},
		{"keys_command = ['/usr/bin/%u']\nkeys_command_user = 'nobody'", "f:2: sftp.keys_command: expected"},
		{"keys_command = ['/usr/bin/keys', '%D']\nkeys_command_user = 'nobody'", "f:2: sftp.keys_command: expected"},
		{"keys_command = ['/usr/bin/keys']", "sftp.keys_command_user: expected the user"},
		{"keys_command = ['/usr/bin/keys']\nkeys_command_user = 'root'", "f:3: sftp.keys_command_user: expected the user"},
		{"keys_command = ['/usr/bin/keys']\nkeys_command_user = 'otpgate-sftpd'", "f:3: sftp.keys_command_user: expected the user"},
		{"start_directory = '/files/%x'", "sftp.start_directory: expected a path"},
		{"authorized_keys = ['%d/keys']", "sftp.authorized_keys: expected"},
		{"trusted_user_ca_keys = 'ca.pub'", "sftp.trusted_user_ca_keys: expected an absolute path"},
		{"revoked_keys = '%h/revoked'", "sftp.revoked_keys: expected an absolute path"},
		{"umask = '8'", "sftp.umask: expected octal"},
		{"deny = ['[']", "sftp.deny"},
		{"fronts = -1", "sftp.fronts: expected"},
		{"metrics = '0.0.0.0:80'", "sftp.metrics: expected a loopback"},
		{"proxy_protocol = ['lb.example.com']", "sftp.proxy_protocol"},
		{"limits.login_grace = '0s'", "sftp.limits.login_grace: expected"},
		{"limits.max_startups = 0", "sftp.limits.max_startups: expected"},
		{"limits.bandwidth = -1", "sftp.limits.bandwidth: expected"},
		{"limits.penalty_exempt = ['10.0.0.1/8']", `f:2: sftp.limits.penalty_exempt: expected a network without host bits; did you mean "10.0.0.0/8"?`},
		{"limits.penalty_exempt = ['office.example.com']", "f:2: sftp.limits.penalty_exempt: expected an address or network in numbers"},
		{"limits.penalty_exempt = ['']", "f:2: sftp.limits.penalty_exempt: expected an address or network"},
		{"limits.penalty_exempt = '10.0.0.1'", "f:2: sftp.limits.penalty_exempt"},
		{"limits.penalties_exempt = ['10.0.0.1']", "f:2: sftp.limits.penalties_exempt: unknown key"},
		{"limits.bandwith = 1", "sftp.limits.bandwith: unknown key"},
	} {
		if _, err := Parse("f", []byte("[sftp]\n"+test.text+"\n")); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: expected %q, found %v", test.text, test.want, err)
		}
	}
}
