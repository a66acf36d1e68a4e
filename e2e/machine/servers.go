package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// StartVSFTPD starts vsftpd, with its own sandbox and limits, for a PAM
// service.
func StartVSFTPD(t T, service string) *Server {
	t.Helper()
	d := newDaemon(t, "vsftpd")
	const empty = "/run/vsftpd/empty"
	if err := os.MkdirAll(empty, 0o755); err != nil {
		t.Fatalf("vsftpd's empty directory: %v", err)
	}
	config := d.write(t, "conf", `listen=YES
listen_address=127.0.0.1
listen_port=PORT
background=NO
local_enable=YES
secure_chroot_dir=`+empty+`
pasv_address=127.0.0.1
xferlog_enable=YES
vsftpd_log_file=DIR/log
pam_service_name=`+service+"\n")
	d.start(t, d.listens, "/usr/sbin/vsftpd", config)
	return &Server{Name: "vsftpd", in: greeting, client: func(p *Person, field string) *exec.Cmd {
		cmd := curl(p, field, "ftp://"+d.address()+"/greeting")
		if err := os.WriteFile("/home/"+p.Name+"/greeting", []byte(greeting(p)+"\n"), 0o644); err != nil {
			t.Fatalf("what %s finds: %v", p.Name, err)
		}
		return cmd
	}}
}

// curl gets url as p.
func curl(p *Person, field, url string) *exec.Cmd {
	return exec.Command("curl", "--silent", "--show-error", "--fail", "--max-time", "60", "--interface", p.Address,
		"--user", p.Name+":"+field, url)
}

// StartApache starts Apache with mod_authnz_pam for a PAM service. It asks PAM
// for each request, as www-data.
func StartApache(t T, service string) *Server {
	t.Helper()
	d := newDaemon(t, "apache")
	var modules strings.Builder
	for _, name := range []string{"mpm_prefork", "authn_core", "authz_core", "authz_user", "auth_basic", "authnz_pam"} {
		modules.WriteString("LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n")
	}
	config := d.write(t, "conf", modules.String()+`ServerRoot DIR
DefaultRuntimeDir DIR
ServerName localhost
Listen 127.0.0.1:PORT
PidFile DIR/pid
ErrorLog DIR/log
User www-data
Group www-data
DocumentRoot DIR/www
<Directory DIR/www>
 AuthType Basic
 AuthName otpgate
 AuthBasicProvider PAM
 AuthPAMService `+service+`
 Require valid-user
</Directory>
`)
	if err := os.Mkdir(d.dir+"/www", 0o755); err != nil {
		t.Fatalf("apache's pages: %v", err)
	}
	d.write(t, "www/greeting", "somebody is in\n")
	d.start(t, d.listens, "/usr/sbin/apache2", "-f", config, "-DFOREGROUND")
	return &Server{Name: "apache", in: func(*Person) string { return "somebody is in" }, client: func(p *Person, field string) *exec.Cmd {
		return curl(p, field, "http://"+d.address()+"/greeting")
	}}
}

// StartRADIUS starts FreeRADIUS with rlm_pam for a PAM service. It asks PAM as
// freerad.
func StartRADIUS(t T, service string) *Server {
	t.Helper()
	d := newDaemon(t, "radius")
	if err := copyTree("/etc/freeradius/3.0", d.dir); err != nil {
		t.Fatalf("radius: %v", err)
	}
	// What Debian enables beside ours would only want more set up.
	for _, link := range []string{"mods-enabled/eap", "sites-enabled/inner-tunnel", "sites-enabled/default"} {
		if err := os.Remove(filepath.Join(d.dir, link)); err != nil {
			t.Fatalf("radius: %v", err)
		}
	}
	d.write(t, "mods-enabled/pam", "pam {\n\tpam_auth = "+service+"\n}\n")
	d.write(t, "clients.conf", "client localhost {\n\tipaddr = 127.0.0.0/8\n\tsecret = testing123\n}\n")
	d.write(t, "sites-enabled/default", `server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = PORT
	}
	authorize {
		update control {
			Auth-Type := PAM
		}
	}
	authenticate {
		pam
	}
}
`)
	run(t, "", "chown", "-R", "freerad:freerad", d.dir)
	d.start(t, func() bool { return strings.Contains(d.output.String(), "Ready to process requests") },
		"/usr/sbin/freeradius", "-d", d.dir, "-f", "-l", "stdout")
	return &Server{Name: "radius", in: func(*Person) string { return "Received Access-Accept" }, client: func(p *Person, field string) *exec.Cmd {
		cmd := exec.Command("radclient", "-t", "60", "-r", "1", d.address(), "auth", "testing123")
		cmd.Stdin = strings.NewReader("User-Name=" + p.Name + ",User-Password=" + field + "\n")
		return cmd
	}}
}
