package machine

import "os/exec"

// StartDovecot starts dovecot for a PAM service, with IMAP over TLS. Its
// auth-worker asks PAM, as root.
func StartDovecot(t T, service string) *Server {
	t.Helper()
	return StartDovecotAsking(t, "passdb {\n  driver = pam\n  args = "+service+"\n}\n")
}

// StartDovecotAsking is StartDovecot with those passdbs.
func StartDovecotAsking(t T, passdbs string) *Server {
	t.Helper()
	d := newDaemon(t, "dovecot")
	// The penalty would have a client wait longer after each refusal.
	config := d.write(t, "conf", `base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <`+certificate(t)+`
ssl_key = <`+certificate(t)+`
auth_mechanisms = plain
auth_failure_delay = 0
mail_location = maildir:~/Maildir
`+passdbs+`userdb {
  driver = passwd
}
service imap-login {
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
	in := func(*Person) string { return `"." INBOX` }
	return &Server{Name: "imaps", in: in, client: func(p *Person, field string) *exec.Cmd {
		cmd := curl(p, field, "imaps://"+d.address()+"/")
		cmd.Args = append(cmd.Args, "--cacert", certificate(t))
		return cmd
	}}
}
