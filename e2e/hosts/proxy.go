package hosts

import "github.com/otpgate/otpgate/e2e/machine"

// Proxy is an HTTP proxy that is running.
type Proxy struct {
	URL string
	d   *daemon
}

// StartTinyproxy starts tinyproxy, which asks for that name and password unless
// they are empty.
func StartTinyproxy(t machine.T, name, password string) *Proxy {
	t.Helper()
	d := newDaemon(t, "tinyproxy")
	auth := ""
	if name != "" {
		machine.Keep(password)
		auth = "BasicAuth " + name + " " + password + "\n"
	}
	config := d.write(t, "conf", "Port @PORT@\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nLogLevel Connect\nAllow 127.0.0.1\n"+auth)
	d.start(t, d.listens, "/usr/bin/tinyproxy", "-d", "-c", config)
	return &Proxy{URL: "http://" + d.address(), d: d}
}

// Log is what it has logged.
func (p *Proxy) Log() string { return p.d.output.String() }
