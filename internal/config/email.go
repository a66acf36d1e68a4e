package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/placeholder"
)

// Email says how codes are sent by email.
type Email struct {
	// SMTP is the server, "smtp://host:587" or "smtps://host:465"; or
	// Sendmail is the command that takes mail, an absolute path. One of them.
	SMTP     string `toml:"smtp"`
	Sendmail string `toml:"sendmail"`
	// StartTLS is "required", which empty means too, or "off", which is only for
	// a server on the machine itself.
	StartTLS string `toml:"starttls"`
	// Username and PasswordFile log in to the server. Where it takes tokens
	// (OAuth), TokenFile has one, or TokenCommand, a program's absolute path and
	// its arguments, prints one for each message. One of the three.
	Username     string   `toml:"username"`
	PasswordFile string   `toml:"password_file"`
	TokenFile    string   `toml:"token_file"`
	TokenCommand []string `toml:"token_command"`
	// CAFile has the certificates, in PEM, of the authorities that may vouch for
	// the server. Empty: the system's.
	CAFile string `toml:"ca_file"`
	// From is the sender, "address" or "Name <address>".
	From string `toml:"from"`
	// Subject, Text and HTML are templates with EmailWords. Text, and HTML if
	// there is one, must have {auth_token}, which is the code. Without HTML the
	// message is plain text.
	Subject string `toml:"subject"`
	Text    string `toml:"text"`
	HTML    string `toml:"html"`
	// Timeout is for the whole delivery, a second to two minutes.
	Timeout Duration `toml:"timeout"`
}

// EmailWords are the placeholders of a message.
var EmailWords = []string{"auth_token", "user", "service", "host", "remote", "expires"}

const defaultText = `Your code: {auth_token}

It is for {user} on {host}: {service}, coming from {remote}. It is good
for that alone, once, until {expires} at the latest.

If you are neither logging in there nor being enrolled, somebody else may know
your password. Do not pass the code on, change the password, and tell whoever
runs {host}.
`

func defaultEmail() *Email {
	return &Email{Subject: "Your code for {host}", Text: defaultText, Timeout: Duration{10 * time.Second}}
}

// check returns the first problem and the key it is at, or "".
func (e *Email) check() (problem string, key []string) {
	if e == nil {
		return "", nil
	}
	if problem, key := e.checkServer(); problem != "" {
		return problem, key
	}
	switch {
	case !validFrom(e.From):
		return `expected the sender's address, "otpgate@example.com" or "Name <otpgate@example.com>"`, []string{"from"}
	case !within(int(e.Timeout.Duration), int(time.Second), int(2*time.Minute)):
		return `expected "1s" to "2m"`, []string{"timeout"}
	case strings.TrimSpace(e.Subject) == "" || hasControl(e.Subject, ""):
		return "expected one line of text", []string{"subject"}
	}
	for _, template := range []struct {
		key, text string
		mayLack   bool
	}{{"subject", e.Subject, true}, {"text", e.Text, false}, {"html", e.HTML, e.HTML == ""}} {
		parsed, err := placeholder.Parse(template.text, EmailWords...)
		switch {
		case err != nil:
			return err.Error(), []string{template.key}
		case hasControl(template.text, "\t\r\n"):
			return "expected no control characters", []string{template.key}
		case !template.mayLack && !parsed.Has("auth_token"):
			return "expected {auth_token} in it, which is the code", []string{template.key}
		}
	}
	return "", nil
}

func (e *Email) checkServer() (problem string, key []string) {
	server, err := e.Server()
	switch {
	case e.SMTP == "" && e.Sendmail == "":
		return `expected smtp = "smtp://host:587" or sendmail = "/usr/sbin/sendmail" in this table`, nil
	case e.SMTP != "" && e.Sendmail != "":
		return "expected smtp or sendmail, not both", []string{"sendmail"}
	case e.Sendmail != "" && !filepath.IsAbs(e.Sendmail):
		return "expected an absolute path", []string{"sendmail"}
	case e.SMTP != "" && err != "":
		return err, []string{"smtp"}
	case e.StartTLS != "" && e.StartTLS != "required" && e.StartTLS != "off":
		return `expected "required" or "off"`, []string{"starttls"}
	case e.StartTLS != "" && (e.Sendmail != "" || server.TLS):
		return "expected no such line: it is for smtp:// alone, and smtps:// has TLS from the start", []string{"starttls"}
	case e.StartTLS == "off" && !isLoopback(server.Host):
		return "without TLS everybody on the way reads the code; expected \"off\" only where smtp names 127.0.0.1 or [::1]", []string{"starttls"}
	case e.Sendmail != "" && (e.Username+e.CAFile != "" || e.credentials() > 0):
		return "username, password_file, token_file, token_command and ca_file are for smtp; expected none of them with sendmail", []string{"sendmail"}
	}
	if problem, key := e.checkLogin(); problem != "" {
		return problem, key
	}
	return relative(keyPath{"password_file", e.PasswordFile}, keyPath{"token_file", e.TokenFile}, keyPath{"ca_file", e.CAFile})
}

// checkLogin is about how to log in to the server.
func (e *Email) checkLogin() (problem string, key []string) {
	switch {
	case e.credentials() > 1:
		return "expected one of password_file, token_file and token_command", []string{"username"}
	case (e.Username == "") != (e.credentials() == 0):
		return "expected username together with password_file, token_file or token_command", []string{"username"}
	case hasControl(e.Username, ""):
		return "expected no control characters", []string{"username"}
	case e.StartTLS == "off" && e.HasToken():
		return "without TLS whoever listens could use the token; expected no such line", []string{"starttls"}
	case e.TokenCommand != nil && !validTokenCommand(e.TokenCommand):
		return `expected a list of a program's absolute path and its arguments, such as ["/usr/local/sbin/mail-token"]`, []string{"token_command"}
	}
	return "", nil
}

// credentials counts those that are named.
func (e *Email) credentials() (n int) {
	for _, named := range []bool{e.PasswordFile != "", e.TokenFile != "", e.TokenCommand != nil} {
		if named {
			n++
		}
	}
	return n
}

// HasToken says whether a token is to log in.
func (e *Email) HasToken() bool { return e.TokenFile != "" || e.TokenCommand != nil }

func validTokenCommand(command []string) bool {
	return len(command) > 0 && filepath.IsAbs(command[0]) &&
		!slices.ContainsFunc(command, func(argument string) bool { return hasControl(argument, "") })
}

// Server is where SMTP leads.
type Server struct {
	Host string
	Port int
	// TLS is from the start, RFC 8314 section 3.3.
	TLS bool
}

// Server reads SMTP.
func (e *Email) Server() (server Server, problem string) {
	const want = `expected "smtp://host:587" or "smtps://host:465"`
	at, err := url.Parse(e.SMTP)
	if err != nil || at.Scheme != "smtp" && at.Scheme != "smtps" || !validHost(at.Hostname()) {
		return Server{}, want
	}
	if at.User != nil || at.Path != "" || at.RawQuery != "" || at.ForceQuery || at.Fragment != "" {
		return Server{}, want + ", and nothing else; a name and a password are username and password_file"
	}
	server = Server{Host: at.Hostname(), Port: 587, TLS: at.Scheme == "smtps"}
	if server.TLS {
		server.Port = 465
	}
	if at.Port() == "" && !strings.HasSuffix(at.Host, ":") {
		return server, ""
	}
	port, err := strconv.ParseUint(at.Port(), 10, 16)
	if err != nil || port == 0 {
		return Server{}, want
	}
	server.Port = int(port)
	return server, ""
}

// validHost takes names and addresses.
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

// isLoopback takes addresses alone: what a name leads to may change.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// validFrom takes one plain address, with or without a name before it. What
// could begin another header or another address is refused.
func validFrom(from string) bool {
	address := from
	if name, rest, found := strings.Cut(from, "<"); found {
		if !strings.HasSuffix(rest, ">") || hasControl(name, "") || strings.ContainsAny(name, `"<>@,;:\()[]`) {
			return false
		}
		address = strings.TrimSuffix(rest, ">")
	}
	return validAddress(address)
}

// validAddress says whether text is one email address, local@domain, of
// printable ASCII and without quotes or comments.
func validAddress(text string) bool {
	local, domain, found := strings.Cut(text, "@")
	return found && local != "" && len(text) <= 254 && printable(text) && validHost(domain) &&
		!strings.ContainsAny(local, ` "<>@,;:\()[]`) && local[0] != '-' && local[0] != '.' && !strings.HasSuffix(local, ".") &&
		!strings.Contains(local, "..")
}

func hasControl(text, but string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd) && !strings.ContainsRune(but, r)
	})
}
