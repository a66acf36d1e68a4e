package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/e2e/hosts"
	"github.com/otpgate/otpgate/e2e/machine"
)

// hangingStack gives a server's service a module that waits without end in one stage
// while the file waits is there, as one does whose directory does not answer.
func hangingStack(t *testing.T, s *hosts.SFTPD, stage string) (hang func(), hanging func() bool) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	fifo, waits := filepath.Join(dir, "fifo"), filepath.Join(dir, "waits")
	must(t, syscall.Mkfifo(fifo, 0o600))
	script := filepath.Join(dir, "module")
	must(t, os.WriteFile(script, []byte("#!/bin/sh\nif [ -e "+waits+" ]; then echo >"+dir+"/waiting; read -r _ <"+fifo+"; fi\n"), 0o755))
	line := stage + " required pam_exec.so quiet " + script + "\n"
	machine.WriteService(t, s.Service(), line+"@include common-auth\n@include common-account\n@include common-password\n@include common-session\n")
	t.Cleanup(func() {
		must(t, os.RemoveAll(waits))
		// Whoever still reads gets its end.
		if end, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			_ = end.Close()
		}
	})
	hang = func() {
		t.Helper()
		must(t, os.WriteFile(waits, nil, 0o600))
	}
	return hang, func() bool { _, err := os.Stat(filepath.Join(dir, "waiting")); return err == nil }
}

// shortGrace gives logins from now on little time, and a banner by which that is seen.
func shortGrace(t *testing.T, s *hosts.SFTPD, p *machine.Person) {
	t.Helper()
	banner := filepath.Join(filepath.Dir(s.Site.Config), "banner")
	must(t, os.WriteFile(banner, []byte("Be quick.\n"), 0o644))
	config, err := os.ReadFile(s.Site.Config)
	must(t, err)
	text := strings.Replace(string(config), "[sftp]\n", "[sftp]\nlimits.login_grace = \"30s\"\nbanner = \""+banner+"\"\n", 1)
	must(t, os.WriteFile(s.Site.Config, []byte(text), 0o644))
	s.Signal(t, syscall.SIGHUP)
	machine.Until(t, "the banner is shown", func() bool {
		v := &sshClient{person: p, server: s}
		_, _ = v.connect(t)
		return strings.Contains(v.told, "Be quick")
	})
}

// A module that waits without end takes a place among the logins for no longer than a
// login may last: else strangers who type any password would take all of them while a
// directory does not answer, and keep out those who need no directory.
func TestSFTPModuleThatHangs(t *testing.T) {
	t.Parallel()
	for _, stage := range []struct{ name, worker string }{{"auth", "session"}, {"account", "session"}, {"account", "user"}} {
		t.Run(stage.name+" "+stage.worker, func(t *testing.T) {
			t.Parallel()
			name := "hang-" + stage.name + "-" + stage.worker
			s := startSFTPD(t, name, noCodes, patient+"worker = \""+stage.worker+"\"\nmetrics = \"unix:/run/"+name+".sock\"\n")
			hang, hanging := hangingStack(t, s, stage.name)
			p := machine.NewPerson(t, "sfh")
			signer, _ := newKey(t, p)
			_, before := files(t, s, p, signer)
			own := len(pieces(t, s))
			shortGrace(t, s, p)
			hang()
			method := ssh.PublicKeys(signer)
			if stage.name == "auth" {
				method = ssh.Password("anything")
			}
			v := &sshClient{person: p, server: s}
			// On a busy machine the time may be over before the module is reached.
			machine.Until(t, "the module waits, and the login ends", func() bool {
				if _, err := v.connect(t, method); err == nil {
					t.Error("somebody is in by a module that has not answered")
				}
				return hanging()
			})
			machine.Until(t, "nobody is at the login any more", func() bool {
				return strings.Contains(figures(t, "/run/"+name+".sock"), "otpgate_sftp_logins_pending 0\n")
			})
			machine.Until(t, "what waited has ended", func() bool { return len(pieces(t, s)) == own })
			expectAudit(t, p, "verdict=fault", "login_grace")
			if _, err := before.ReadDir("."); err != nil {
				t.Errorf("the session of before: %v", err)
			}
		})
	}
}
