package hosts

import (
	"os"

	"github.com/otpgate/otpgate/e2e/machine"
)

// Nginx is a running nginx with its module for PAM. It asks PAM for each
// request, as www-data.
type Nginx struct {
	HTTP, HTTPS *Server
}

// StartNginx starts nginx for PAM services of HTTP and HTTPS.
func StartNginx(t machine.T, http, https string) Nginx {
	t.Helper()
	plain, secure := newDaemonOf(t, "nginx", http), newDaemonOf(t, "nginx-tls", https)
	if err := os.Mkdir(plain.dir+"/www", 0o755); err != nil {
		t.Fatalf("nginx's pages: %v", err)
	}
	plain.write(t, "www/greeting", "somebody is in\n")
	config := plain.write(t, "conf", `load_module /usr/lib/nginx/modules/ngx_http_auth_pam_module.so;
user www-data;
daemon off;
pid @DIR@/pid;
error_log @DIR@/log info;
worker_processes 2;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path @DIR@/body;
	proxy_temp_path @DIR@/proxy;
	fastcgi_temp_path @DIR@/fastcgi;
	uwsgi_temp_path @DIR@/uwsgi;
	scgi_temp_path @DIR@/scgi;
	root @DIR@/www;
	auth_pam "password and code";
	server {
		listen 127.0.0.1:@PORT@;
		auth_pam_service_name "`+http+`";
	}
	server {
		listen `+secure.address()+` ssl;
		ssl_certificate `+certificate(t)+`;
		ssl_certificate_key `+certificate(t)+`;
		auth_pam_service_name "`+https+`";
	}
}
`)
	plain.start(t, func() bool { return plain.listens() && secure.listens() }, "/usr/sbin/nginx", "-c", config)
	byHTTP, byHTTPS := greetingPage(t, plain, secure)
	return Nginx{HTTP: byHTTP, HTTPS: byHTTPS}
}

// StartNginxForPage starts nginx before the page for people, which listens at a Unix
// socket, as docs/invitations.md has it, and returns the address at which browsers reach it.
func StartNginxForPage(t machine.T, socket string) (address string) {
	t.Helper()
	d := newDaemon(t, "nginx-page")
	config := d.write(t, "conf", `user www-data;
daemon off;
pid @DIR@/pid;
error_log @DIR@/log info;
worker_processes 1;
events { worker_connections 64; }
http {
	client_body_temp_path @DIR@/body;
	proxy_temp_path @DIR@/proxy;
	fastcgi_temp_path @DIR@/fastcgi;
	uwsgi_temp_path @DIR@/uwsgi;
	scgi_temp_path @DIR@/scgi;
	server {
		listen 127.0.0.1:@PORT@ ssl;
		ssl_certificate `+certificate(t)+`;
		ssl_certificate_key `+certificate(t)+`;
		access_log off;
		error_log /dev/null emerg;
		location / {
			proxy_pass http://unix:`+socket+`;
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_read_timeout 90s;
		}
	}
}
`)
	d.start(t, d.listens, "/usr/sbin/nginx", "-c", config)
	return d.address()
}
