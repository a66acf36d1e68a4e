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
	plain, secure := newDaemon(t, "nginx"), newDaemon(t, "nginx-tls")
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
