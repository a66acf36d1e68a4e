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
	d := newDaemon(t, "saslauthd")
	socket := filepath.Join(d.dir, "mux")
	there := func() bool {
		_, err := os.Stat(socket)
		return err == nil
	}
	// -d keeps it in the foreground.
	d.start(t, there, append([]string{"/usr/sbin/saslauthd", "-d", "-a", "pam", "-m", d.dir, "-n", "1"}, options...)...)
	return &Server{Name: "saslauthd", in: func(*machine.Person) string { return `OK "Success."` }, client: func(p *machine.Person, field string) *exec.Cmd {
		return exec.Command("/usr/sbin/testsaslauthd", "-u", p.Name, "-p", field, "-s", service, "-f", socket)
	}}
}
