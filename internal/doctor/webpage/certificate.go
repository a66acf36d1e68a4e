package webpage

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/doctor/target"
)

// soon is how long before its end a certificate is to be renewed.
const soon = 30 * 24 * time.Hour

const noPage = "The page does not start, or goes on showing the certificate that it had."

// certificate looks at what the page shows browsers. Behind a web server that has one.
func (e *exam) certificate() {
	if e.portal.KeyFile == "" {
		return
	}
	if !e.readable() {
		return
	}
	root := e.Machine.Root
	text, err := config.ReadCertificates(root + e.portal.CertificateFile)
	if err != nil {
		e.add("certificate_file", finding.Finding{Severity: finding.Error, ID: "page-certificate", What: err.Error() + ".", Follows: noPage, Fix: "Mend that; docs/invitations.md says where such files belong."})
		return
	}
	key, err := config.ReadKey(root + e.portal.KeyFile)
	if err != nil {
		e.add("key_file", finding.Finding{Severity: finding.Error, ID: "page-certificate", What: err.Error() + ".", Follows: noPage, Fix: "Mend that; docs/invitations.md says where such files belong."})
		return
	}
	pair, err := tls.X509KeyPair(text, key)
	if err != nil {
		// What the library says may quote neither file.
		e.add("certificate_file", finding.Finding{Severity: finding.Error, ID: "page-certificate", What: fmt.Sprintf("%s and %s do not go together: %v.", e.portal.CertificateFile, e.portal.KeyFile, err),
			Follows: noPage, Fix: "Name the certificate, with those above it behind it, and the key that it was made for."})
		return
	}
	e.shown(pair.Leaf)
}

// shown looks at the certificate itself.
func (e *exam) shown(leaf *x509.Certificate) {
	path := e.portal.CertificateFile
	if own, err := url.Parse(e.portal.URL); err == nil {
		if err := leaf.VerifyHostname(own.Hostname()); err != nil {
			e.add("certificate_file", finding.Finding{Severity: finding.Error, ID: "page-certificate", What: fmt.Sprintf("The certificate in %s is not for %s: %v.", path, own.Hostname(), err),
				Follows: "Browsers warn of the page, and people who are careful do not enroll.", Fix: "Have one made for that name, or correct portal.url."})
		}
	}
	left, when := leaf.NotAfter.Sub(e.Machine.Now()), leaf.NotAfter.UTC().Format(time.DateOnly)
	f := finding.Finding{ID: "page-certificate", Fix: "Renew it. The page reads it again once the files are " + pageUser + "'s."}
	switch {
	case left <= 0:
		f.Severity, f.What, f.Follows = finding.Error, "The certificate in "+path+" ended on "+when+".", "Browsers warn of the page, and people who are careful do not enroll."
	case left < soon:
		f.Severity, f.What, f.Follows = finding.Warning, "The certificate in "+path+" ends on "+when+".", "From then on browsers warn of the page."
	default:
		return
	}
	e.add("certificate_file", f)
}

// readable says whether the page's user can read the files, as far as is known.
func (e *exam) readable() bool {
	user, found, err := e.Machine.Account(pageUser)
	if err != nil || !found {
		return true // which is said elsewhere
	}
	can := true
	for _, file := range []struct{ key, path string }{{"certificate_file", e.portal.CertificateFile}, {"key_file", e.portal.KeyFile}} {
		reason := user.MayNotReach(e.Machine.Root+file.path, target.Reading)
		if reason == "" {
			continue
		}
		can = false
		e.add(file.key, finding.Finding{Severity: finding.Error, ID: "page-certificate", What: "The page, which runs as " + pageUser + ", cannot read it: " + reason + ".",
			Follows: noPage, Fix: "chown " + pageUser + " " + file.path + ", and have the renewal do so; in /etc/otpgate/portal, systemctl restart otpgate-portal does it."})
	}
	return can
}
