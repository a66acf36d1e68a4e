package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/otpgate/otpgate/internal/placeholder"
)

// Portal says where the page is on which people enroll by an invitation.
type Portal struct {
	// URL is what the links of invitations begin with, such as
	// "https://otp.example.com": where people's browsers reach the page.
	URL string `toml:"url"`
	// Link is how long an invitation is good, "1h" to "30d", unless it is cancelled or
	// somebody enrolls by it before.
	Link Duration `toml:"link"`
	// Remind is after how long "otpctl invite remind", which otpgate-remind.timer runs,
	// mails whoever has not enrolled a new link that ends when the one before would have:
	// "1h" to "30d", and "0s" for never.
	Remind Duration `toml:"remind"`
	// Socket is where the verifier answers the page.
	Socket string `toml:"socket"`
	// Listen is where otpgate-portal takes browsers' connections: "unix:" and an absolute
	// path for a web server that passes them on, or an address and a port. Beyond
	// loopback the latter needs CertificateFile and KeyFile, which are in PEM.
	Listen          string `toml:"listen"`
	CertificateFile string `toml:"certificate_file"`
	KeyFile         string `toml:"key_file"`
	// Proxies are addresses and networks of web servers whose X-Forwarded-For says where
	// a browser is. Whoever may connect to a Unix socket is believed anyway.
	Proxies []Network `toml:"proxies"`
	// Email is the message with the link.
	Email PortalEmail `toml:"email"`
	// Manage lets people who are enrolled see and change on the page what is theirs:
	// devices, recovery codes, remembered logins and their last logins. A link that is
	// mailed to them and a code of a device open it. It needs the table email, and is off
	// unless it is set.
	Manage bool `toml:"manage"`
	// ReportTo is the address that is told of a login that somebody reports there as not
	// theirs. Without it only the log has it.
	ReportTo string `toml:"report_to"`
	// ManageEmail is the message with the link to that.
	ManageEmail PortalEmail `toml:"manage_email"`
	// ChangeEmail is the message that tells people what was changed there.
	ChangeEmail ChangeEmail `toml:"change_email"`
}

// PortalEmail is a message that has a link. The table email says how
// it is sent.
type PortalEmail struct {
	// Subject, Text and HTML are templates with PortalWords. Text, and HTML if there
	// is one, must have {link}. Without HTML the message is plain text.
	Subject string `toml:"subject"`
	Text    string `toml:"text"`
	HTML    string `toml:"html"`
}

// PortalWords are the placeholders of the message with a link.
var PortalWords = []string{"link", "user", "host", "expires"}

const defaultInvitation = `Logins to {host} ask for a code from an app on your phone. To set that up for
{user}, open this page and follow it:

{link}

The link is for you alone. It is good until {expires}, for one device.

If you have not expected this, do not open the page, and tell whoever runs {host}.
`

func defaultPortal() *Portal {
	return &Portal{
		Link: Duration{3 * 24 * time.Hour}, Remind: Duration{24 * time.Hour}, Socket: "/run/otpgate/portal.sock", Listen: "unix:/run/otpgate-portal/http.sock",
		Email:       PortalEmail{Subject: "Set up your codes for {host}", Text: defaultInvitation},
		ManageEmail: PortalEmail{Subject: "The page for your codes for {host}", Text: defaultManage},
		ChangeEmail: ChangeEmail{Subject: "Your codes for {host} were changed", Text: defaultChange},
	}
}

// Bounds of how long an invitation is good.
const (
	ShortestLink = time.Hour
	LongestLink  = 30 * 24 * time.Hour
)

// check returns the first problem and the key it is at, or "".
func (p *Portal) check() (problem string, key []string) {
	switch {
	case p == nil:
		return "", nil
	case p.checkURL() != "":
		return p.checkURL(), []string{"url"}
	case !within(int(p.Link.Duration), int(ShortestLink), int(LongestLink)):
		return `expected "1h" to "30d"`, []string{"link"}
	case p.Remind.Duration != 0 && !within(int(p.Remind.Duration), int(ShortestLink), int(LongestLink)):
		return `expected "1h" to "30d", or "0s" for never`, []string{"remind"}
	case !filepath.IsAbs(p.Socket):
		return "expected an absolute path", []string{"socket"}
	}
	if problem, key := p.checkListen(); problem != "" {
		return problem, key
	}
	if problem, key := p.Email.check(); problem != "" {
		return problem, append([]string{"email"}, key...)
	}
	return "", nil
}

func (p *Portal) checkURL() (problem string) {
	const want = `expected "https://host", as people's browsers reach the page`
	at, err := url.Parse(p.URL)
	switch {
	case err != nil || at.Scheme != "https" && at.Scheme != "http" || !validHost(at.Hostname()) || !printable(p.URL):
		return want
	case at.Scheme+"://"+at.Host != p.URL:
		return want + ", and nothing behind it"
	case at.Scheme == "http" && !isLoopback(at.Hostname()):
		return want + ": without TLS everybody on the way could enroll; http:// is for 127.0.0.1 and [::1] alone"
	}
	return ""
}

// checkListen finds a page that would go over a network without TLS, and files for TLS
// that nothing reads.
func (p *Portal) checkListen() (problem string, key []string) {
	path, unix := strings.CutPrefix(p.Listen, "unix:")
	host, port, found := cutPort(p.Listen)
	_, err := netip.ParseAddr(host)
	files := []keyPath{{"certificate_file", p.CertificateFile}, {"key_file", p.KeyFile}}
	switch {
	case unix && !filepath.IsAbs(path) || !unix && (!found || port == 0 || host != "" && err != nil):
		return `expected "unix:" and an absolute path, or an address and a port, such as ":443"`, []string{"listen"}
	case (p.CertificateFile == "") != (p.KeyFile == ""):
		return "expected certificate_file and key_file, or none of them", []string{"certificate_file"}
	case unix && p.KeyFile != "":
		return `expected no file where listen is "unix:": the web server in front has the certificate`, []string{"key_file"}
	case !unix && p.KeyFile == "" && !isLoopback(host):
		return "expected a certificate in certificate_file and key_file, or \"unix:\" or a loopback address: without TLS everybody on the way could enroll", []string{"listen"}
	case !unix && p.KeyFile == "" && len(p.Proxies) == 0:
		return `expected proxies = ["127.0.0.1/32"], or where else the web server in front connects from: without it wrong links of everybody count as of one address`, []string{"listen"}
	}
	return relative(files...)
}

func (p PortalEmail) check() (problem string, key []string) {
	if strings.TrimSpace(p.Subject) == "" || hasControl(p.Subject, "") {
		return "expected one line of text", []string{"subject"}
	}
	for _, template := range []struct {
		key, text string
		mayLack   bool
	}{{"subject", p.Subject, true}, {"text", p.Text, false}, {"html", p.HTML, p.HTML == ""}} {
		parsed, err := placeholder.Parse(template.text, PortalWords...)
		switch {
		case err != nil:
			return err.Error(), []string{template.key}
		case hasControl(template.text, "\t\r\n"):
			return "expected no control characters", []string{template.key}
		case template.key == "subject" && parsed.Has("link"):
			return "mail servers log subjects; expected {link} in text alone", []string{template.key}
		case !template.mayLack && !parsed.Has("link"):
			return "expected {link} in it, by which the person enrolls", []string{template.key}
		}
	}
	return "", nil
}

// LinkTo is the address of the page for an invitation.
func (p *Portal) LinkTo(secret string) string { return p.URL + LinkPath + secret }

// ManageTo is the address of the page for a link of somebody who is enrolled.
func (p *Portal) ManageTo(secret string) string { return p.URL + ManagePath + secret }

// LinkPath and ManagePath are what is between the page's URL and what makes a link secret.
const (
	LinkPath   = "/l/"
	ManagePath = "/m/"
)
