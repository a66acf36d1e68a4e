package sharedledger

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
)

// soon is how long before its end a certificate is to be renewed.
const soon = 30 * 24 * time.Hour

// certificates looks at when those end by which etcd is reached. Whether they are good
// else, the members say.
func (e *exam) certificates() {
	l := e.Settings.Ledger
	for _, named := range []struct{ key, path string }{{"ca_file", l.CAFile}, {"certificate_file", l.CertificateFile}} {
		if named.path == "" {
			continue
		}
		text, err := config.ReadCertificates(named.path)
		if err != nil {
			e.add(named.key, finding.Finding{Severity: finding.Error, ID: "ledger-certificate", What: err.Error() + ".", Follows: denied, Fix: "Mend that; docs/ledger.md says how such files are made."})
			continue
		}
		if end := firstEnd(text); !end.IsZero() {
			e.ends(named.key, named.path, end)
		}
	}
}

// firstEnd is when the first one of some certificates ends, zero if there are none.
func firstEnd(text []byte) (first time.Time) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (first.IsZero() || certificate.NotAfter.Before(first)) {
			first = certificate.NotAfter
		}
	}
	return first
}

func (e *exam) ends(key, path string, end time.Time) {
	left, when := end.Sub(e.Now()), end.UTC().Format(time.DateOnly)
	f := finding.Finding{ID: "ledger-certificate", Fix: "Renew it, and then systemctl restart otpgate-ledgerd, which gives a new file to the service's own user."}
	switch {
	case left <= 0:
		f.Severity, f.What, f.Follows = finding.Error, "A certificate in "+path+" ended on "+when+".", denied
	case left < soon:
		f.Severity, f.What, f.Follows = finding.Warning, "A certificate in "+path+" ends on "+when+".", "From then on everybody who is asked for a code is denied here, but for break-glass codes of this machine."
	default:
		return
	}
	e.add(key, f)
}
