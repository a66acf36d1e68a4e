// Command sftpd is the SFTP server: files as the user, a code where the policy
// wants one.
//
// This program is the broker, which stays root. It listens, passes connections on
// to fronts, which have no rights and speak SSH, checks what they bring of
// passwords, keys and codes, signs with the host keys, and starts login processes:
// they are root too, have PAM's transaction, and start workers, which have the
// user's rights. It promises that nothing a front says makes anybody somebody else:
// docs/sftpd.md says what is believed of whom.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/otpgate/otpgate/internal/closeonexec"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/daemon"
)

// version is set when a release is built.
var version = "unknown"

func main() {
	var o options
	p := daemon.New("otpgate-sftpd", version, usage)
	p.PathVar(&o.config, "config", "", "configuration `FILE` (default "+config.DefaultPath+", which may be missing)")
	p.PathVar(&o.run, "run", "/run/otpgate-sftpd", "`DIRECTORY` that is made for the fronts to be locked into")
	p.Main(func() error { return run(o) })
}

type options struct{ config, run string }

const usage = `Usage: otpgate-sftpd [--config FILE] [--run DIRECTORY]

Serves SFTP on the addresses in [sftp] listen, or on the sockets that systemd
passes. Reloads on SIGHUP; on SIGTERM takes no new connections and ends when
the transfers under way are done.

Examples:
  otpgate-sftpd                        with /etc/otpgate/otpgate.toml
  otpgate-sftpd --config /srv/o.toml   with another file

Options:
`

// run serves until a signal ends it.
func run(o options) error {
	// Workers are people's own; what root's shell had open is not.
	if err := closeonexec.SetAll(); err != nil {
		return err
	}
	programs, err := findPrograms()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	b, err := newBroker(o, programs)
	if err != nil {
		return err
	}
	listeners, err := daemon.ListenTCP("sftp.listen", b.settings().SFTP.Listen)
	if err != nil {
		return err
	}
	if err := b.startFronts(); err != nil {
		return err
	}
	b.finishHostKeys()
	stopMetrics, err := b.serveMetrics(b.settings().SFTP.Metrics)
	if err != nil {
		return err
	}
	for _, l := range listeners {
		go b.accept(l)
		fmt.Fprintf(os.Stderr, "otpgate-sftpd: serving SFTP on %s\n", l.Addr())
	}
	daemon.NotifyReady()
	for s := range signals {
		if s != syscall.SIGHUP {
			break
		}
		daemon.NotifyReloading()
		b.reload()
		daemon.NotifyReady()
	}
	daemon.NotifyStopping()
	for _, l := range listeners {
		_ = l.Close()
	}
	// Another server may take all addresses now, while this one waits.
	stopMetrics()
	b.drain(signals)
	return nil
}

// programs are the other parts.
type programs struct{ front, login, worker string }

// findPrograms looks beside this program, and where make install puts them.
func findPrograms() (programs, error) {
	self, err := os.Executable()
	if err != nil {
		return programs{}, err
	}
	dir := filepath.Dir(self)
	for _, place := range []string{dir, filepath.Join(dir, "../libexec/otpgate")} {
		p := programs{filepath.Join(place, "otpgate-sftpd-front"), filepath.Join(place, "otpgate-sftpd-login"), filepath.Join(place, "otpgate-sftpd-worker")}
		if _, err := os.Stat(p.front); err == nil {
			return p, nil
		}
	}
	return programs{}, fmt.Errorf("otpgate-sftpd-front: expected it and its like in %s or ../libexec/otpgate from there", dir)
}
