package hosts

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/otpgate/otpgate/e2e/machine"
)

// Exim is a mail server that is running. It delivers into the Maildirs of the
// machine's people, whose addresses are NAME@MailDomain.
type Exim struct {
	// SMTP and SMTPS are its URLs, as the configuration has them. A fleet reaches them
	// too, unless it offers no TLS.
	SMTP, SMTPS string
	// CA is the file with its certificate, which is of its own making.
	CA string
	// Name and Password, or Token, are those it asks for, if it does.
	Name, Password, Token string
	d                     *daemon
}

// EximOptions vary what it asks for.
type EximOptions struct {
	// NoTLS has it offer no STARTTLS.
	NoTLS bool
	// Auth has it take mail only from who logs in, within TLS.
	Auth bool
	// Tokens has it take a token in place of the password, by that mechanism:
	// "XOAUTH2" or "OAUTHBEARER".
	Tokens string
	// Sendmail makes its configuration that of /usr/sbin/sendmail too.
	Sendmail bool
}

// StartExim starts exim4.
func StartExim(t machine.T, options EximOptions) *Exim {
	t.Helper()
	d := newDaemon(t, "exim")
	secure := strconv.Itoa(2200 + int(ports.Add(1)))
	host := outside(t)
	if options.NoTLS {
		host = "127.0.0.1" // the configuration takes no other without
	}
	e := &Exim{SMTP: "smtp://" + net.JoinHostPort(host, d.port), SMTPS: "smtps://" + net.JoinHostPort(host, secure), Name: "mailer", Password: "pw-" + rand.Text(), Token: "token." + rand.Text() + "~+/=", d: d}
	machine.Keep(e.Password, e.Token)
	e.CA = ownCertificate(t, d)
	config := d.write(t, "conf", e.config(options, secure))
	for _, name := range []string{"spool", "log"} {
		if err := os.Mkdir(filepath.Join(d.dir, name), 0o755); err != nil {
			t.Fatalf("exim: %v", err)
		}
	}
	machine.Command(t, "", "chown", "-R", "Debian-exim:", d.dir+"/spool", d.dir+"/log", d.dir+"/key.pem")
	trust(t, config)
	if options.Sendmail {
		machine.Command(t, "", "cp", config, "/etc/exim4/exim4.conf")
	}
	// It may listen there later than at loopback.
	ready := func() bool {
		return listensAt(net.JoinHostPort(host, d.port)) && listensAt(net.JoinHostPort(host, secure))
	}
	d.start(t, ready, "/usr/sbin/exim4", "-C", config, "-bdf")
	return e
}

// config is the server's configuration, as daemon.write takes it. secure is the port for
// TLS from the start.
func (e *Exim) config(options EximOptions, secure string) string {
	advertise, accept, auth := "*", "accept", "${if eq{$tls_in_cipher}{}{}{*}}"
	if options.NoTLS {
		advertise = ""
	}
	if options.Auth || options.Tokens != "" {
		accept = "accept authenticated = *\n  deny message = log in first"
	}
	return `primary_hostname = ` + machine.MailDomain + `
daemon_smtp_ports = @PORT@ : ` + secure + `
tls_on_connect_ports = ` + secure + `
local_interfaces = 127.0.0.1 : ` + Outside + `
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
pid_file_path = @DIR@/spool/pid
domainlist local_domains = ` + machine.MailDomain + `
keep_environment =
acl_smtp_rcpt = acl_rcpt
tls_advertise_hosts = ` + advertise + `
tls_certificate = @DIR@/cert.pem
tls_privatekey = @DIR@/key.pem
auth_advertise_hosts = ` + auth + `
begin acl
acl_rcpt:
  deny domains = !+local_domains
       message = no relaying here
  deny !verify = recipient
  ` + accept + `
begin routers
people:
  driver = accept
  check_local_user
  domains = +local_domains
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = $home/Maildir
  maildir_format
begin authenticators
` + e.authenticator(options.Tokens, secure)
}

// authenticator is how its clients log in. What comes with a token is one text,
// which is the same of each client that says it right.
func (e *Exim) authenticator(tokens, secure string) string {
	bearer := `\001auth=Bearer ` + e.Token + `\001\001}`
	condition := `and{{eq{$auth2}{` + e.Name + `}}{eq{$auth3}{` + e.Password + `}}}`
	switch tokens {
	case "":
		tokens = "PLAIN"
	case "XOAUTH2":
		condition = `eq{$auth1}{user=` + e.Name + bearer
	case "OAUTHBEARER":
		begins := `eq{$auth1}{n,a=` + e.Name + `,\001host=` + Outside + `\001port=`
		condition = `or{{` + begins + e.d.port + bearer + `}{` + begins + secure + bearer + `}}`
	}
	return `own:
  driver = plaintext
  public_name = ` + tokens + `
  server_condition = ${if ` + condition + `}
  server_set_id = ` + e.Name + `
`
}

// trusted are the configurations with which exim keeps root's rights.
var trusted struct {
	sync.Mutex
	configs []string
}

// mostTrusted is how many lines exim reads of the list of those.
const mostTrusted = 32

// trust has exim keep root's rights with that configuration until the test ends; without
// them it takes mail and delivers none.
func trust(t machine.T, config string) {
	t.Helper()
	change := func(configs func() []string) {
		t.Helper()
		trusted.Lock()
		defer trusted.Unlock()
		trusted.configs = configs()
		if len(trusted.configs) > mostTrusted {
			t.Fatalf("exim: it trusts %d configurations at once", mostTrusted)
		}
		const path = "/etc/exim4/trusted_configs"
		err := os.WriteFile(path+".new", []byte(strings.Join(append(trusted.configs, ""), "\n")), 0o644)
		if err := errors.Join(err, os.Rename(path+".new", path)); err != nil {
			t.Fatalf("exim: %v", err)
		}
	}
	change(func() []string { return append(trusted.configs, config) })
	t.Cleanup(func() {
		change(func() []string {
			return slices.DeleteFunc(trusted.configs, func(other string) bool { return other == config })
		})
	})
}

// Log is what it has logged.
func (e *Exim) Log(t machine.T) string {
	t.Helper()
	var all strings.Builder
	files, err := filepath.Glob(e.d.dir + "/log/*")
	if err != nil {
		t.Fatalf("exim's log: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("exim's log: %v", err)
		}
		all.Write(data)
	}
	return all.String()
}
