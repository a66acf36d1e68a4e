package hosts

import (
	"crypto/rand"
	"os"
	"os/exec"
	"strings"

	"github.com/otpgate/otpgate/e2e/machine"
)

// Apache is a running Apache with mod_authnz_pam. It asks PAM for each request,
// as www-data. Each of its three ways in has a PAM service of its own, as the
// module cannot see which one a request took.
type Apache struct {
	HTTP, HTTPS, DAV *Server
}

// StartApache starts Apache for a PAM service, on HTTP alone.
func StartApache(t machine.T, service string) *Server {
	t.Helper()
	return StartApacheFor(t, service, service, service).HTTP
}

// StartApacheFor starts Apache for PAM services of HTTP, HTTPS and WebDAV.
func StartApacheFor(t machine.T, http, https, dav string) Apache {
	t.Helper()
	return startApache(t, http, https, dav, " AuthBasicProvider PAM\n")
}

// StartApacheThatRemembers starts Apache for one PAM service. Who was let in is
// remembered for a minute, by the name and the field.
func StartApacheThatRemembers(t machine.T, service string) Apache {
	t.Helper()
	return startApache(t, service, service, service, " AuthBasicProvider socache PAM\n AuthnCacheProvideFor PAM\n AuthnCacheContext otpgate\n AuthnCacheTimeout 60\n")
}

func startApache(t machine.T, http, https, dav, provider string) Apache {
	t.Helper()
	plain, secure := newDaemonOf(t, "apache", http), newDaemonOf(t, "apache-tls", https)
	for _, dir := range []string{"/www", "/www/dav", "/locks"} {
		if err := os.Mkdir(plain.dir+dir, 0o755); err != nil {
			t.Fatalf("apache's pages: %v", err)
		}
	}
	machine.Command(t, "", "chown", "www-data", plain.dir+"/www/dav", plain.dir+"/locks")
	plain.write(t, "www/greeting", "somebody is in\n")
	config := plain.write(t, "conf", apacheConfig(t, secure.address(), http, https, dav, provider))
	plain.start(t, func() bool { return plain.listens() && secure.listens() }, "/usr/sbin/apache2", "-f", config, "-DFOREGROUND")
	byHTTP, byHTTPS := greetingPage(t, plain, secure)
	return Apache{
		HTTP: byHTTP, HTTPS: byHTTPS,
		// Who is in can write.
		DAV: &Server{Name: "webdav", place: plain.place, in: func(*machine.Person) string { return "201 Created" }, client: func(p *machine.Person, field string) *exec.Cmd {
			cmd := curl(p, field, "http://"+plain.address()+"/dav/"+rand.Text())
			cmd.Args = append(cmd.Args, "--include", "--upload-file", "-")
			cmd.Stdin = strings.NewReader("written by " + p.Name + "\n")
			return cmd
		}},
	}
}

// apacheConfig has HTTP at the daemon's own address, and HTTPS at secure.
func apacheConfig(t machine.T, secure, http, https, dav, provider string) string {
	t.Helper()
	return apacheModules() + `ServerRoot @DIR@
DefaultRuntimeDir @DIR@
ServerName localhost
Listen 127.0.0.1:@PORT@
Listen ` + secure + `
PidFile @DIR@/pid
ErrorLog @DIR@/log
User www-data
Group www-data
DocumentRoot @DIR@/www
DavLockDB @DIR@/locks/dav
AuthnCacheEnable
AuthnCacheSOCache shmcb:@DIR@/locks/remembered
<Directory @DIR@/www>
 AuthType Basic
 AuthName otpgate
` + provider + ` AuthPAMService ` + http + `
 Require valid-user
</Directory>
<Directory @DIR@/www/dav>
 Dav On
 AuthPAMService ` + dav + `
</Directory>
<VirtualHost ` + secure + `>
 SSLEngine on
 SSLCertificateFile ` + certificate(t) + `
 <Location />
  AuthPAMService ` + https + `
 </Location>
</VirtualHost>
`
}

func apacheModules() string {
	var lines strings.Builder
	for _, name := range []string{"mpm_prefork", "authn_core", "authz_core", "authz_user", "auth_basic", "authnz_pam", "socache_shmcb", "authn_socache", "ssl", "dav", "dav_fs"} {
		lines.WriteString("LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n")
	}
	return lines.String()
}
