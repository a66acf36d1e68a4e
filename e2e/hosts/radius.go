package hosts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/e2e/machine"
)

// StartRADIUS starts FreeRADIUS with rlm_pam for a PAM service. It asks PAM as
// freerad.
func StartRADIUS(t machine.T, service string) *Server {
	t.Helper()
	d := newDaemonOf(t, "radius", service)
	if err := machine.CopyTree("/etc/freeradius/3.0", d.dir); err != nil {
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
		port = @PORT@
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
	machine.Command(t, "", "chown", "-R", "freerad:freerad", d.dir)
	d.start(t, func() bool { return strings.Contains(d.output.String(), "Ready to process requests") },
		"/usr/sbin/freeradius", "-d", d.dir, "-f", "-l", "stdout")
	return &Server{Name: "radius", place: d.place, in: func(*machine.Person) string { return "Received Access-Accept" }, client: func(p *machine.Person, field string) *exec.Cmd {
		// With one try the radclient of FreeRADIUS 3.2.7 ends with 0 and no answer if a
		// second of the clock begins between its sending and its waiting.
		cmd := exec.Command("radclient", "-t", "60", "-r", "2", d.address(), "auth", "testing123")
		cmd.Stdin = strings.NewReader("User-Name=" + p.Name + ",User-Password=" + field + "\n")
		return cmd
	}}
}
