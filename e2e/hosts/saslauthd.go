package hosts

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/otpgate/otpgate/e2e/machine"
)

// StartSASLAuthd starts saslauthd with the mechanism pam and options. Its client
// is the one that comes with it, which names the PAM service.
func StartSASLAuthd(t machine.T, service string, options ...string) *Server {
	t.Helper()
	dir := saslauthd(t, options...)
	return &Server{Name: "saslauthd", in: func(*machine.Person) string { return `OK "Success."` }, client: func(p *machine.Person, field string) *exec.Cmd {
		return exec.Command("/usr/sbin/testsaslauthd", "-u", p.Name, "-p", field, "-s", service, "-f", filepath.Join(dir, "mux"))
	}}
}

// saslauthd starts it, and returns the directory of its socket, mux.
func saslauthd(t machine.T, options ...string) (dir string) {
	t.Helper()
	d := newDaemon(t, "saslauthd")
	listens := func() bool { return takes("unix", filepath.Join(d.dir, "mux")) }
	// -d keeps it in the foreground.
	d.start(t, listens, append([]string{"/usr/sbin/saslauthd", "-d", "-a", "pam", "-m", d.dir, "-n", "1"}, options...)...)
	return d.dir
}

// postfix is where packaging/deps unpacks it: its package and exim's exclude each
// other.
const postfix = "/var/cache/otpgate-test/postfix"

// StartPostfix starts Postfix, which asks saslauthd about a PAM service. Its client
// logs in by SMTP.
func StartPostfix(t machine.T, service string) *Server {
	t.Helper()
	if _, err := os.Stat(postfix); err != nil {
		t.Fatalf("Postfix: expected it at %s: %v; run packaging/deps test", postfix, err)
	}
	d := newDaemon(t, "postfix")
	for _, name := range []string{"queue/pid", "queue/private", "queue/public", "data", "sasl"} {
		if err := os.MkdirAll(filepath.Join(d.dir, name), 0o755); err != nil {
			t.Fatalf("Postfix: %v", err)
		}
	}
	d.write(t, "sasl/smtpd.conf", "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\nsaslauthd_path: "+saslauthd(t)+"/mux\n")
	// The accounts of its package are not there; any do that are nobody's else.
	d.write(t, "main.cf", `compatibility_level = 3.6
daemon_directory = `+postfix+`/usr/lib/postfix/sbin
command_directory = `+postfix+`/usr/sbin
shlib_directory = `+postfix+`/usr/lib/postfix
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
queue_directory = @DIR@/queue
data_directory = @DIR@/data
mail_owner = Debian-exim
setgid_group = sasl
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = machine
alias_maps =
smtpd_sasl_auth_enable = yes
cyrus_sasl_config_path = @DIR@/sasl
smtpd_sasl_service = `+service+`
smtpd_relay_restrictions = permit_sasl_authenticated, reject
`)
	d.write(t, "master.cf", `@PORT@ inet n - n - - smtpd
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
`)
	machine.Command(t, "", "chown", "Debian-exim", d.dir+"/queue/private", d.dir+"/queue/public", d.dir+"/data")
	d.start(t, d.listens, "env", "LD_LIBRARY_PATH="+postfix+"/usr/lib/postfix", postfix+"/usr/lib/postfix/sbin/master", "-c", d.dir, "-d")
	return &Server{Name: "postfix", in: func(*machine.Person) string { return "235 2.7.0 Authentication successful" }, client: func(p *machine.Person, field string) *exec.Cmd {
		cmd := curl(p, field, "smtp://"+d.address()+"/")
		cmd.Args = append(cmd.Args, "--verbose", "--request", "NOOP")
		return cmd
	}}
}
