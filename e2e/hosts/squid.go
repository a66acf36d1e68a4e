package hosts

import (
	"os/exec"
	"strings"

	"github.com/otpgate/otpgate/e2e/machine"
)

// StartSquid starts squid, which asks PAM for a service as the user proxy and
// fetches url for whoever is let in. It tells PAM no address.
func StartSquid(t machine.T, service, url string, lines ...string) *Server {
	t.Helper()
	d := newDaemon(t, "squid")
	config := d.write(t, "conf", `http_port 127.0.0.1:@PORT@
auth_param basic program /usr/lib/squid/basic_pam_auth -n `+service+`
auth_param basic children 2
`+strings.Join(append(lines, ""), "\n")+`acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
pid_filename @DIR@/pid
access_log none
cache_log @DIR@/log
cache deny all
coredump_dir @DIR@
pinger_enable off
visible_hostname machine
`)
	machine.Command(t, "", "chown", "-R", "proxy:", d.dir)
	d.start(t, d.listens, "/usr/sbin/squid", "-N", "-f", config)
	return &Server{Name: "squid", in: greeting, client: func(p *machine.Person, field string) *exec.Cmd {
		return exec.Command("curl", "--silent", "--show-error", "--fail", "--max-time", machine.Seconds(machine.Patience), "--interface", p.Address,
			"--proxy", "http://"+d.address(), "--proxy-user", p.Name+":"+field, url+"/"+p.Name)
	}}
}
