package hosts

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/otpgate/otpgate/e2e/machine"
)

// Cockpit is a web console, whose page asks what PAM asks: by HTTP a question is a
// challenge, and the next request answers it.
type Cockpit struct{ d *daemon }

// cockpitSession is what asks PAM, for the service cockpit.
const cockpitSession = "/usr/lib/cockpit/cockpit-session"

// StartCockpit starts cockpit-ws as the user of its unit. It asks PAM by a program
// with root's rights, and from Debian 13 on by that program's socket.
func StartCockpit(t machine.T) *Cockpit {
	t.Helper()
	d := newDaemon(t, "cockpit")
	if err := os.Mkdir(filepath.Join(d.dir, "cockpit"), 0o755); err != nil {
		t.Fatalf("Cockpit: %v", err)
	}
	d.write(t, "cockpit/cockpit.conf", "[WebService]\nAllowUnencrypted=true\nLoginTo=false\n")
	program, err := os.Stat(cockpitSession)
	if err != nil {
		t.Fatalf("Cockpit: %v", err)
	}
	user, group := "cockpit-wsinstance", "cockpit-wsinstance"
	if program.Mode()&os.ModeSetuid == 0 {
		user, group = "nobody", "nogroup" // its unit makes some up
		const socket = "/run/cockpit/session"
		session := newDaemon(t, "cockpit-session")
		listens := func() bool { return takes("unix", socket) }
		if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
			t.Fatalf("Cockpit: %v", err)
		}
		session.start(t, listens, "systemd-socket-activate", "--accept", "--inetd", "--listen="+socket, cockpitSession)
		// It is root's alone, and its unit gives it to that group.
		machine.Command(t, "", "chgrp", group, socket)
		machine.Command(t, "", "chmod", "0660", socket)
	}
	d.start(t, d.listens, "env", "XDG_CONFIG_DIRS="+d.dir, "setpriv", "--reuid", user, "--regid", group, "--clear-groups",
		"/usr/lib/cockpit/cockpit-ws", "--no-tls", "--address", "127.0.0.1", "--port", d.port)
	return &Cockpit{d}
}

// Login gives name and password, and then an answer to each question. It returns
// whether p is in, and the questions.
func (c *Cockpit) Login(t machine.T, p *machine.Person, password string, answers ...string) (in bool, asked []string) {
	t.Helper()
	authorization := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.Name+":"+password))
	for {
		request, err := http.NewRequest(http.MethodGet, "http://"+c.d.address()+"/cockpit/login", nil)
		if err != nil {
			t.Fatalf("Cockpit: %v", err)
		}
		request.Header.Set("Authorization", authorization)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatalf("Cockpit: %v\n%s", err, c.d.output.String())
		}
		_ = response.Body.Close() // the status says all
		challenge := strings.Fields(response.Header.Get("WWW-Authenticate"))
		if response.StatusCode == http.StatusOK || len(challenge) != 3 || challenge[0] != "X-Conversation" {
			t.Logf("Cockpit: %s: %s after %q", p.Name, response.Status, asked)
			return response.StatusCode == http.StatusOK, asked
		}
		question, err := base64.StdEncoding.DecodeString(challenge[2])
		if err != nil {
			t.Fatalf("Cockpit asks %q: %v", challenge[2], err)
		}
		asked = append(asked, string(question))
		if len(asked) > len(answers) {
			return false, asked
		}
		authorization = "X-Conversation " + challenge[1] + " " + base64.StdEncoding.EncodeToString([]byte(answers[len(asked)-1]))
	}
}
