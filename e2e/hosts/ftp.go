package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/e2e/machine"
)

// StartVSFTPD starts vsftpd, with its own sandbox and limits, for a PAM
// service.
func StartVSFTPD(t machine.T, service string) *Server { return startVSFTPD(t, service, plain) }

// StartVSFTPDWithTLS is StartVSFTPD for clients that speak TLS, and no others.
func StartVSFTPDWithTLS(t machine.T, service string) *Server {
	return startVSFTPD(t, service, encrypted)
}

func startVSFTPD(t machine.T, service string, cover cover) *Server {
	t.Helper()
	d := newDaemonOf(t, "vsftpd", service)
	const empty = "/run/vsftpd/empty"
	if err := os.MkdirAll(empty, 0o755); err != nil {
		t.Fatalf("vsftpd's empty directory: %v", err)
	}
	text := `listen=YES
listen_address=127.0.0.1
listen_port=@PORT@
background=NO
local_enable=YES
secure_chroot_dir=` + empty + `
pasv_address=127.0.0.1
xferlog_enable=YES
vsftpd_log_file=@DIR@/log
pam_service_name=` + service + "\n"
	if cover == encrypted {
		text += "ssl_enable=YES\nforce_local_logins_ssl=YES\nforce_local_data_ssl=YES\nrequire_ssl_reuse=NO\nssl_ciphers=HIGH\nrsa_cert_file=" + certificate(t) + "\n"
	}
	d.start(t, d.listens, "/usr/sbin/vsftpd", d.write(t, "conf", text))
	return ftpServer(t, d, cover)
}

// proftpd is where packaging/deps unpacks it: its package and vsftpd's exclude
// each other.
const proftpd = "/var/cache/otpgate-test/proftpd"

// StartProFTPD starts ProFTPD for a PAM service.
func StartProFTPD(t machine.T, service string) *Server {
	return startProFTPD(t, service, pamAlone, plain)
}

// StartProFTPDWithTLS is StartProFTPD for clients that speak TLS, and no others.
func StartProFTPDWithTLS(t machine.T, service string) *Server {
	return startProFTPD(t, service, pamAlone, encrypted)
}

// StartProFTPDAsking is StartProFTPD with other directives about whom it asks.
func StartProFTPDAsking(t machine.T, service, directives string) *Server {
	return startProFTPD(t, service, directives, plain)
}

// pamAlone makes PAM's no the last word.
const pamAlone = "AuthOrder mod_auth_pam.c* mod_auth_unix.c\n"

// StartProFTPDForKeys is ProFTPD's mod_sftp with directives about what it takes. Its client
// shows a key and answers nothing.
func StartProFTPDForKeys(t machine.T, service, directives, key string) *Server {
	t.Helper()
	d := proftpdDaemon(t, service, "LoadModule mod_sftp.c\nLoadModule mod_sftp_pam.c\nSFTPEngine on\nSFTPHostKey "+key+"\nSFTPPAMServiceName "+service+"\n"+directives, plain)
	withKey := func(p *machine.Person, _ string) *exec.Cmd {
		if err := os.WriteFile("/home/"+p.Name+"/greeting", []byte(greeting(p)+"\n"), 0o644); err != nil {
			t.Fatalf("what %s finds: %v", p.Name, err)
		}
		cmd := exec.Command("sftp", "-q", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
			"-o", "IdentitiesOnly=yes", "-i", key, "-P", d.port, "-b", "-", p.Name+"@127.0.0.1")
		got := filepath.Join(filepath.Dir(key), "got-"+p.Name)
		cmd.Stdin = strings.NewReader("get greeting " + got + "\n!cat " + got + "\n")
		return cmd
	}
	return &Server{Name: d.name, in: greeting, place: d.place, client: withKey}
}

func startProFTPD(t machine.T, service, asking string, cover cover) *Server {
	t.Helper()
	return ftpServer(t, proftpdDaemon(t, service, asking, cover), cover)
}

func proftpdDaemon(t machine.T, service, asking string, cover cover) *daemon {
	t.Helper()
	if _, err := os.Stat(proftpd); err != nil {
		t.Fatalf("ProFTPD: expected it at %s: %v; run packaging/deps test", proftpd, err)
	}
	d := newDaemonOf(t, "proftpd", service)
	text := "ModulePath " + proftpd + "/usr/lib/proftpd\n" + loadable(t, "mod_delay", "mod_ls", "mod_xfer") + `ServerName machine
ServerType standalone
DefaultAddress 127.0.0.1
Port @PORT@
SocketBindTight on
UseIPv6 off
UseReverseDNS off
PidFile @DIR@/pid
ScoreboardFile @DIR@/scoreboard
SystemLog @DIR@/log
ControlsEngine off
DelayEngine off
WtmpLog off
User nobody
Group nogroup
` + asking + "AuthPAMConfig " + service + "\n"
	if cover == encrypted {
		text += "LoadModule mod_tls.c\nTLSEngine on\nTLSRequired on\nTLSOptions NoSessionReuseRequired\nTLSRSACertificateFile " + certificate(t) +
			"\nTLSRSACertificateKeyFile " + certificate(t) + "\n"
	}
	d.start(t, d.listens, proftpd+"/usr/sbin/proftpd", "-n", "-c", d.write(t, "conf", text))
	return d
}

// loadable is the configuration for those modules that are files of their own,
// as they are since Debian 13; before that they are part of the program.
func loadable(t machine.T, modules ...string) (lines string) {
	t.Helper()
	for _, module := range modules {
		switch _, err := os.Stat(proftpd + "/usr/lib/proftpd/" + module + ".so"); {
		case err == nil:
			lines += "LoadModule " + module + ".c\n"
		case !os.IsNotExist(err):
			t.Fatalf("ProFTPD's modules: %v", err)
		}
	}
	return lines
}

// ftpServer has curl for a client, and lftp for another. What they get is in
// the person's home.
func ftpServer(t machine.T, d *daemon, cover cover) *Server {
	put := func(p *machine.Person) {
		if err := os.WriteFile("/home/"+p.Name+"/greeting", []byte(greeting(p)+"\n"), 0o644); err != nil {
			t.Fatalf("what %s finds: %v", p.Name, err)
		}
	}
	withCurl := func(p *machine.Person, field string) *exec.Cmd {
		put(p)
		cmd := curl(p, field, "ftp://"+d.address()+"/greeting")
		if cover == encrypted {
			cmd.Args = append(cmd.Args, "--ssl-reqd", "--cacert", certificate(t))
		}
		return cmd
	}
	withLFTP := func(p *machine.Person, field string) *exec.Cmd {
		put(p)
		return lftp(t, p, field, d.address(), cover)
	}
	return &Server{Name: d.name, in: greeting, place: d.place, client: withCurl, other: withLFTP}
}

// lftp logs in once and prints the greeting.
func lftp(t machine.T, p *machine.Person, field, address string, cover cover) *exec.Cmd {
	settings := "set net:max-retries 1\nset net:timeout " + machine.Seconds(machine.Patience) + "\nset net:socket-bind-ipv4 " + p.Address + "\nset ftp:passive-mode on\n"
	if cover == encrypted {
		settings += "set ftp:ssl-force on\nset ftp:ssl-protect-data on\nset ssl:ca-file " + certificate(t) + "\n"
	} else {
		settings += "set ftp:ssl-allow off\n"
	}
	script := filepath.Join(machine.Root, "tmp", "lftp-"+p.Name)
	text := settings + "open --user " + p.Name + " --password " + field + " ftp://" + address + "\ncat greeting\n"
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatalf("commands for lftp: %v", err)
	}
	return exec.Command("lftp", "-f", script)
}
