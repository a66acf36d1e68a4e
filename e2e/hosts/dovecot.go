package hosts

import (
	"os/exec"
	"strings"

	"github.com/otpgate/otpgate/e2e/machine"
)

// NewDovecot says whether the installed dovecot is 2.4 or later, whose
// configuration is written in another way.
func NewDovecot(t machine.T) bool {
	t.Helper()
	version, err := exec.Command("/usr/sbin/dovecot", "--version").Output()
	if err != nil {
		t.Fatalf("dovecot --version: %v", err)
	}
	return !strings.HasPrefix(string(version), "2.3.")
}

// Passdb is a passdb block as the installed dovecot wants it. argument is the
// PAM service for pam, the file for passwd-file, and everybody's password for
// static.
func Passdb(t machine.T, driver, argument string, settings ...string) string {
	t.Helper()
	var lines []string
	head := "passdb {"
	if NewDovecot(t) {
		head = "passdb " + driver + " {"
		key := map[string]string{"pam": "service_name", "passwd-file": "passwd_file_path", "static": "password"}[driver]
		lines = append(lines, key+" = "+argument)
	} else {
		if driver == "static" {
			argument = "password=" + argument
		}
		lines = append(lines, "driver = "+driver, "args = "+argument)
	}
	return head + "\n  " + strings.Join(append(lines, settings...), "\n  ") + "\n}\n"
}

// StartDovecot starts dovecot for a PAM service, with IMAP over TLS. Its
// auth-worker asks PAM, as root.
func StartDovecot(t machine.T, service string) *Server {
	t.Helper()
	return startDovecot(t, newDaemonOf(t, "dovecot", service), Passdb(t, "pam", service))
}

// StartDovecotAsking is StartDovecot with those passdbs, in the machine's own network.
func StartDovecotAsking(t machine.T, passdbs string) *Server {
	t.Helper()
	return startDovecot(t, newDaemon(t, "dovecot"), passdbs)
}

func startDovecot(t machine.T, d *daemon, passdbs string) *Server {
	t.Helper()
	first, own := "", "ssl_cert = <"+certificate(t)+"\nssl_key = <"+certificate(t)+"\nmail_location = maildir:~/Maildir\nuserdb {\n  driver = passwd\n}\n"
	if NewDovecot(t) {
		first = "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
		own = "ssl_server_cert_file = " + certificate(t) + "\nssl_server_key_file = " + certificate(t) +
			"\nmail_driver = maildir\nmail_path = ~/Maildir\nuserdb passwd {\n}\n"
	}
	// The penalty would have a client wait longer after each refusal.
	config := d.write(t, "conf", first+`base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/log
protocols = imap
listen = 127.0.0.1
ssl = required
auth_mechanisms = plain
auth_failure_delay = 0
`+own+passdbs+`service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = @PORT@
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`)
	d.start(t, d.listens, "/usr/sbin/dovecot", "-F", "-c", config)
	in := func(*machine.Person) string { return `"." INBOX` }
	return &Server{Name: "imaps", in: in, place: d.place, client: func(p *machine.Person, field string) *exec.Cmd {
		cmd := curl(p, field, "imaps://"+d.address()+"/")
		cmd.Args = append(cmd.Args, "--cacert", certificate(t))
		return cmd
	}}
}
