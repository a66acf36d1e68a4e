package config

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Ledger says where the ledger is, for servers that share one. Without this table it
// is files in paths.state.
type Ledger struct {
	// Etcd are the URLs of etcd's members, such as "https://etcd1.example.com:2379".
	// http:// is for the machine itself alone.
	Etcd []string `toml:"etcd"`
	// CAFile has the certificates, in PEM, of those who may vouch for the members.
	// CertificateFile and KeyFile have what this machine shows them; the common name
	// in it is its user in etcd.
	CAFile          string `toml:"ca_file"`
	CertificateFile string `toml:"certificate_file"`
	KeyFile         string `toml:"key_file"`
	// Prefix is before the ledger's keys in etcd.
	Prefix string `toml:"prefix"`
	// Timeout is how long etcd is asked, "1s" to "1m", before the login is denied.
	Timeout Duration `toml:"timeout"`
	// Socket is where otpgate-ledgerd, which reaches etcd, listens.
	Socket string `toml:"socket"`
	// People has the secret files in etcd too, and none in paths.users: who enrolls on
	// one server is enrolled on all. Their secrets must be encrypted: it needs
	// secrets.keys, the same on all servers, and has secrets.required be true.
	People bool `toml:"people"`
}

func defaultLedger() *Ledger {
	return &Ledger{Prefix: "otpgate/1/", Timeout: Duration{3 * time.Second}, Socket: "/run/otpgate/ledger.sock"}
}

// check returns the first problem and the key it is at, or "".
func (l *Ledger) check() (problem string, key []string) {
	if l == nil {
		return "", nil
	}
	tls, problem := l.checkEtcd()
	if problem != "" {
		return problem, []string{"etcd"}
	}
	files := []keyPath{{"ca_file", l.CAFile}, {"certificate_file", l.CertificateFile}, {"key_file", l.KeyFile}}
	for _, file := range files {
		switch {
		case tls && file.path == "":
			return "expected a file, as the members are reached by https://", []string{file.key}
		case !tls && file.path != "":
			return "expected no file, as the members are reached by http://", []string{file.key}
		}
	}
	if problem, key := relative(append(files, keyPath{"socket", l.Socket})...); problem != "" {
		return problem, key
	}
	switch {
	case !filepath.IsAbs(l.Socket):
		return "expected an absolute path", []string{"socket"}
	case l.Prefix == "" || hasControl(l.Prefix, "") || !strings.HasSuffix(l.Prefix, "/"):
		return `expected text that ends in /, such as "otpgate/1/"`, []string{"prefix"}
	case !within(int(l.Timeout.Duration), int(time.Second), int(time.Minute)):
		return `expected "1s" to "1m"`, []string{"timeout"}
	}
	return "", nil
}

// checkEtcd also says whether the members are reached over TLS.
func (l *Ledger) checkEtcd() (tls bool, problem string) {
	const want = `expected the members' URLs, such as ["https://etcd1.example.com:2379"]`
	if len(l.Etcd) == 0 {
		return false, want
	}
	for i, member := range l.Etcd {
		at, err := url.Parse(member)
		switch {
		case err != nil || at.Scheme != "https" && at.Scheme != "http" || !validHost(at.Hostname()) || at.Port() == "" ||
			at.User != nil || at.Path != "" || at.RawQuery != "" || at.Fragment != "":
			return false, want
		case at.Scheme == "http" && !isLoopback(at.Hostname()):
			return false, "expected https://, as http:// is for 127.0.0.1 and [::1] alone"
		case i > 0 && tls != (at.Scheme == "https"):
			return false, "expected https:// for all members, or http:// for all"
		case slices.Contains(l.Etcd[:i], member):
			return false, member + " is there twice"
		}
		tls = at.Scheme == "https"
	}
	return tls, ""
}
