package machine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/deliver/twiliotest"
)

// Exim is a mail server that is running. It delivers into the Maildirs of the
// machine's people, whose addresses are NAME@MailDomain.
type Exim struct {
	// SMTP and SMTPS are its URLs, as the configuration has them.
	SMTP, SMTPS string
	// CA is the file with its certificate, which is of its own making.
	CA string
	// Name and Password, or Token, are those it asks for, if it does.
	Name, Password, Token string
	d                     *daemon
}

// MailDomain is what comes behind the @ of the machine's people.
const MailDomain = "machine.example"

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
func StartExim(t T, options EximOptions) *Exim {
	t.Helper()
	d := newDaemon(t, "exim")
	secure := strconv.Itoa(2200 + int(ports.Add(1)))
	e := &Exim{SMTP: "smtp://" + d.address(), SMTPS: "smtps://127.0.0.1:" + secure, Name: "mailer", Password: "pw-" + rand.Text(), Token: "token." + rand.Text() + "~+/=", d: d}
	keep(e.Password, e.Token)
	e.CA = ownCertificate(t, d)
	advertise, accept, auth := "*", "accept", "${if eq{$tls_in_cipher}{}{}{*}}"
	if options.NoTLS {
		advertise = ""
	}
	if options.Auth || options.Tokens != "" {
		accept = "accept authenticated = *\n  deny message = log in first"
	}
	config := d.write(t, "conf", `primary_hostname = `+MailDomain+`
daemon_smtp_ports = @PORT@ : `+secure+`
tls_on_connect_ports = `+secure+`
local_interfaces = 127.0.0.1
spool_directory = @DIR@/spool
log_file_path = @DIR@/log/%slog
pid_file_path = @DIR@/spool/pid
domainlist local_domains = `+MailDomain+`
keep_environment =
acl_smtp_rcpt = acl_rcpt
tls_advertise_hosts = `+advertise+`
tls_certificate = @DIR@/cert.pem
tls_privatekey = @DIR@/key.pem
auth_advertise_hosts = `+auth+`
begin acl
acl_rcpt:
  deny domains = !+local_domains
       message = no relaying here
  deny !verify = recipient
  `+accept+`
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
`+e.authenticator(options.Tokens, secure))
	for _, name := range []string{"spool", "log"} {
		if err := os.Mkdir(filepath.Join(d.dir, name), 0o755); err != nil {
			t.Fatalf("exim: %v", err)
		}
	}
	run(t, "", "chown", "-R", "Debian-exim:", d.dir+"/spool", d.dir+"/log", d.dir+"/key.pem")
	trust(t, config)
	if options.Sendmail {
		run(t, "", "cp", config, "/etc/exim4/exim4.conf")
	}
	d.start(t, d.listens, "/usr/sbin/exim4", "-C", config, "-bdf")
	return e
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
		begins := `eq{$auth1}{n,a=` + e.Name + `,\001host=127.0.0.1\001port=`
		condition = `or{{` + begins + e.d.port + bearer + `}{` + begins + secure + bearer + `}}`
	}
	return `own:
  driver = plaintext
  public_name = ` + tokens + `
  server_condition = ${if ` + condition + `}
  server_set_id = ` + e.Name + `
`
}

// trust has exim keep root's rights with that configuration; without them it
// delivers nothing.
func trust(t T, config string) {
	t.Helper()
	list, err := os.OpenFile("/etc/exim4/trusted_configs", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatalf("exim: %v", err)
	}
	defer list.Close()
	if _, err := list.WriteString(config + "\n"); err != nil {
		t.Fatalf("exim: %v", err)
	}
}

// Log is what it has logged.
func (e *Exim) Log(t T) string {
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

// Mail is the person's address here.
func (p *Person) Mail() string { return p.Name + "@" + MailDomain }

// Letters are what has arrived for the person, unread.
func (p *Person) Letters(t T) []string {
	t.Helper()
	files, err := filepath.Glob("/home/" + p.Name + "/Maildir/new/*")
	if err != nil {
		t.Fatalf("%s's mail: %v", p.Name, err)
	}
	var letters []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%s's mail: %v", p.Name, err)
		}
		letters = append(letters, string(data))
	}
	return letters
}

// Letter waits for the one letter of the person's and returns it.
func (p *Person) Letter(t T) string {
	t.Helper()
	Until(t, "a letter has arrived for "+p.Name, func() bool { return len(p.Letters(t)) > 0 })
	letters := p.Letters(t)
	if len(letters) != 1 {
		t.Fatalf("expected one letter for %s, found %q", p.Name, letters)
	}
	return letters[0]
}

// ownCertificate makes key.pem and cert.pem in the server's directory, for
// 127.0.0.1, and returns where the latter is.
func ownCertificate(t T, d *daemon) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("key of %s: %v", d.name, err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: d.name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("certificate of %s: %v", d.name, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("key of %s: %v", d.name, err)
	}
	secret := d.keep(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatalf("key of %s: %v", d.name, err)
	}
	return d.keep(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})))
}

// Gateway is a stand-in for Twilio that is running.
type Gateway struct {
	*twiliotest.Gateway
	// URL is where it takes messages, over TLS; CA the file with its
	// certificate.
	URL, CA string
	// TokenFile has the account's password.
	TokenFile string
}

// StartGateway starts one.
func StartGateway(t T) *Gateway {
	t.Helper()
	d := newDaemon(t, "gateway")
	g := &Gateway{Gateway: twiliotest.New(), CA: ownCertificate(t, d), TokenFile: d.keep(t, "token", twiliotest.Token+"\n")}
	g.URL = "https://" + d.address() + "/2010-04-01/Accounts/{otp_username}/Messages.json"
	keep(twiliotest.Token)
	if err := os.Chmod(g.TokenFile, 0o600); err != nil {
		t.Fatalf("token of the gateway: %v", err)
	}
	listener, err := net.Listen("tcp", d.address())
	if err != nil {
		t.Fatalf("start the gateway: %v", err)
	}
	server := &http.Server{Handler: g, ReadHeaderTimeout: Patience}
	ended := make(chan struct{})
	go func() {
		_ = server.ServeTLS(listener, g.CA, d.dir+"/key.pem") // ends when it is closed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return g
}

// Settings are the table [sms] for the gateway, with more lines.
func (g *Gateway) Settings(more string) string {
	return "[sms]\npreset = 'twilio'\nurl = '" + g.URL + "'\nusername = '" + twiliotest.SID + "'\npassword_file = '" + g.TokenFile +
		"'\nca_file = '" + g.CA + "'\nfrom = '+15005550006'\n" + more
}

// Proxy is an HTTP proxy that is running.
type Proxy struct {
	URL string
	d   *daemon
}

// StartTinyproxy starts tinyproxy, which asks for that name and password unless
// they are empty.
func StartTinyproxy(t T, name, password string) *Proxy {
	t.Helper()
	d := newDaemon(t, "tinyproxy")
	auth := ""
	if name != "" {
		keep(password)
		auth = "BasicAuth " + name + " " + password + "\n"
	}
	config := d.write(t, "conf", "Port @PORT@\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\nAllow 127.0.0.1\n"+auth)
	d.start(t, d.listens, "/usr/bin/tinyproxy", "-d", "-c", config)
	return &Proxy{URL: "http://" + d.address(), d: d}
}

// Log is what it has logged.
func (p *Proxy) Log() string { return p.d.output.String() }
