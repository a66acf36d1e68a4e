package sharedledger

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/doctor/finding"
	"github.com/otpgate/otpgate/internal/ledger/casledger"
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
		ends := endsOf(text)
		switch {
		case len(ends) == 0:
		case named.key == "ca_file":
			// While authorities are changed the old one and the new one are in it. Whose
			// certificate is by one that has ended, the members show.
			e.ends(named.key, named.path, slices.MaxFunc(ends, time.Time.Compare))
		default:
			e.ends(named.key, named.path, slices.MinFunc(ends, time.Time.Compare))
		}
	}
}

// endsOf are when certificates end.
func endsOf(text []byte) (ends []time.Time) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			ends = append(ends, certificate.NotAfter)
		}
	}
	return ends
}

// ofMember looks at when the certificate of a member that answered ends.
func (e *exam) ofMember(m casledger.Member) {
	if m.Certificate.IsZero() || m.Certificate.Sub(e.Now()) >= soon {
		return
	}
	e.add("etcd", finding.Finding{Severity: finding.Warning, ID: "ledger-certificate", What: "The certificate of " + m.URL + " ends on " + m.Certificate.UTC().Format(time.DateOnly) + ".",
		Follows: "From then on no server takes an answer of this member's. Once that is so of a majority, everybody who is asked for a code is denied.",
		Fix:     "Renew it there, in ETCD_CERT_FILE and in ETCD_PEER_CERT_FILE; etcd reads them at the next connection."})
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
